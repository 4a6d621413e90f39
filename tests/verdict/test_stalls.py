"""No false alarm on a noisy machine, and a stall of 300 ms at the flips is seen: both in simulated traffic."""

import dataclasses
import random
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from harness.record.report import Gate
from harness.record.series import SLOT_S
from harness.record.upgrade import Upgrade
from harness.verdict import judge
from harness.verdict.budgets import Budget
from harness.verdict.stalls import FlipLatency, stalls
from tests.record.slots import slots_of
from tests.verdict import synthetic
from tests.verdict.synthetic import START, Run

Pauses = Sequence[tuple[float, float]]
PER_SLOT = 12
STALL_S = 0.3


def simulated(seed: int, upgrades: int, pods: Sequence[str] = synthetic.PODS) -> Run:
    """A quiet run whose latencies are yet to be made."""
    run = synthetic.run(upgrades=upgrades, per_slot=1, pods=pods, seed=seed)
    run.requirements = dataclasses.replace(run.requirements, min_requests=100, min_per_class_per_upgrade=1)
    run.load.series = [one for one in run.load.series if one.traffic_class == "keep-alive"]
    return run


def pauses(rng: random.Random, run: Run, every_s: float, mean_s: float) -> list[tuple[float, float]]:
    """When a process stood still for the machine's sake, and for how long: bursts at any time."""
    made, at = [], START
    while (at := at + rng.expovariate(1 / every_s)) < (run.load.stopped or 0):
        made.append((at, rng.expovariate(1 / mean_s)))
    return made


def flow(rng: random.Random, run: Run, paused: Mapping[str, Pauses]) -> None:
    """Requests come evenly; one that meets a pause waits for its end."""
    with slots_of(run.load) as slots:
        for slot in slots:
            counts: Counter[int] = Counter()
            for _ in range(PER_SLOT):
                at = slot.at + rng.random() * SLOT_S
                waits = max(
                    (start + s - at for start, s in paused[slot.pod] if start <= at < start + s), default=0.0
                )
                counts[int(rng.lognormvariate(0, 0.5) * 1500 + waits * 1e6)] += 1
            slot.latency_us = counts


def flip_starts(upgrades: Sequence[Upgrade], pod: str, image: str = "") -> list[float]:
    return [
        of_pod.phases[1].start
        for upgrade in upgrades
        for of_pod in upgrade.pods
        if of_pod.name == pod and of_pod.to.endswith(image)
    ]


def judged(run: Run) -> Gate:
    scenario = judge.judge("s", run.upgrades, [run.load], run.apps, run.requirements)
    return next(gate for gate in scenario.gates if gate.name == "latency in each flip")


NOISES = {
    "quiet": (5.0, 0.005),
    "busy": (1.0, 0.03),
    "bursts": (8.0, 0.4),
}


@pytest.mark.parametrize("noise", list(NOISES))
@pytest.mark.parametrize("seed", range(4))
def test_noise_that_hits_all_pods_alike_is_no_alarm(noise: str, seed: int) -> None:
    rng, run = random.Random(seed), simulated(seed, upgrades=3)
    alike = pauses(rng, run, *NOISES[noise])
    flow(rng, run, {pod: [*alike, *pauses(rng, run, *NOISES[noise])] for pod in synthetic.PODS})
    assert judged(run).outcome == "passed"


def test_a_start_of_containers_that_stops_the_whole_machine_is_no_alarm() -> None:
    rng, run = random.Random(1), simulated(1, upgrades=5)
    alike = [(at + 0.2, 0.06) for pod in synthetic.PODS for at in flip_starts(run.upgrades, pod)]
    with slots_of(run.load) as slots:
        slots += [  # in a long time of peace, in which flips are rare, p99.9 knows nothing of them
            dataclasses.replace(slot, at=round(slot.at + 100 * part, 1))
            for part in range(1, 10)
            for slot in slots
        ]
    flow(rng, run, dict.fromkeys(synthetic.PODS, alike))
    assert judged(run).outcome == "passed"


@pytest.mark.parametrize("noise", ["quiet", "busy"])
@pytest.mark.parametrize("seed", range(3))
def test_a_stall_at_the_flips_to_one_image_is_seen_through_the_noise(noise: str, seed: int) -> None:
    """Every second upgrade goes back to a sound image: half of the flips do not stall."""
    every_s, mean_s = NOISES[noise]
    rng, run = random.Random(seed), simulated(seed, upgrades=5)
    alike = pauses(rng, run, every_s, mean_s / 2)
    own = {
        pod: [(at + 0.2, STALL_S) for at in flip_starts(run.upgrades, pod, "v2")] for pod in synthetic.PODS
    }
    flow(rng, run, {pod: [*alike, *own[pod]] for pod in synthetic.PODS})
    found = judged(run)
    assert found.outcome == "failed"
    assert "sidecar:v2" in found.observed
    assert "sidecar:v1" not in found.observed


def test_a_pod_that_is_alone_gets_more_room_and_a_stall_of_it_is_seen_too() -> None:
    for stall_s, outcome in [(0.09, "passed"), (STALL_S, "failed")]:
        rng, run = random.Random(1), simulated(1, upgrades=6, pods=("app-0",))
        flow(rng, run, {"app-0": [(at + 0.2, stall_s) for at in flip_starts(run.upgrades, "app-0")]})
        assert judged(run).outcome == outcome


def stalled(upgrades: int = 5) -> Run:
    rng, run = random.Random(1), simulated(1, upgrades=upgrades)
    own = {pod: [(at + 0.2, STALL_S) for at in flip_starts(run.upgrades, pod)] for pod in synthetic.PODS}
    flow(rng, run, own)
    return run


def test_two_flips_decide_nothing() -> None:
    assert judged(stalled(upgrades=1)).outcome == "skipped"
    assert judged(stalled(upgrades=2)).outcome == "failed"


def test_a_stall_that_the_load_generator_may_have_made_is_inconclusive() -> None:
    run = stalled()
    run.load.saturation = run.load.saturation.model_copy(update={"cpu_fraction": 0.97})
    assert judged(run).outcome == "inconclusive"


def test_faults_have_no_budget_and_a_scenario_may_give_its_own() -> None:
    run = stalled()
    run.requirements = dataclasses.replace(run.requirements, profile="resilience")
    assert judged(run).outcome == "skipped"
    run.requirements = dataclasses.replace(run.requirements, budget=Budget(floor_ms=500))
    assert judged(run).outcome == "passed"


def test_classes_that_last_by_design_say_nothing_about_stalls() -> None:
    run = stalled()
    for one in run.load.series:
        one.traffic_class = "long-stream"
    assert judged(run).outcome == "skipped"


@pytest.mark.parametrize(
    ("slow", "of", "expected"), [(3, 3, True), (2, 3, False), (3, 6, True), (3, 7, False), (4, 7, True)]
)
def test_three_flips_and_half_of_all_have_to_be_slow(slow: int, of: int, expected: bool) -> None:
    group = [FlipLatency("v2", own=300 if n < slow else 5, steady=4, others=10) for n in range(of)]
    assert stalls(group, Budget()) is expected
