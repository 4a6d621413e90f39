"""What a long run keeps of its upgrades: all of it, in little room."""

from __future__ import annotations

import json
import tracemalloc

from harness.manifest import Subject
from harness.record.base import to_rfc3339
from harness.record.upgrade import PhaseName, PodEvent, Upgrade
from harness.upgrade.driver import PAUSE_S, Driver
from harness.upgrade.history import History
from harness.upgrade.step import Step
from tests.upgrade.fakes import FakeCluster, Told
from tests.upgrade.recordings import CYCLES, EPOCH, image

MOST_BYTES = 5_000  # of one upgrade: a thousand of them cost a run 5 MB
LINES = 20  # that each container writes in a hand-over


def upgrade(index: int, patched: float, events: int) -> Upgrade:
    pod = {
        "name": "pod-1",
        "from": "agent:v1",
        "to": "agent:v2",
        "working": "mesh-2",
        "phases": [{"name": "upgrade", "start": patched + 0.1, "witness": "watch", "precision_ms": 50.0}],
        "events": [
            PodEvent(at=patched + number / 3, source="sidecar", reason="moved", message='{"connection": 7}')
            for number in range(events)
        ],
    }
    return Upgrade.model_validate(
        {"index": index, "from": "agent:v1", "to": "agent:v2", "patched": patched, "pods": [pod]}
    )


def test_every_upgrade_comes_back_as_it_was_to_the_last_digit() -> None:
    made = [upgrade(index, EPOCH + index / 3, 4) for index in range(1, 5)]
    history = History()
    for one in made:
        history.append(one)
    assert list(history) == made
    assert history[-1] == made[-1]
    assert history[1:3] == made[1:3]


def test_what_is_known_later_takes_the_place_of_what_was_known_of_the_last_upgrade() -> None:
    history = History()
    history.append(upgrade(1, EPOCH, 0))
    history.append(upgrade(2, EPOCH + 3, 0))
    history.amend(upgrade(2, EPOCH + 3, 4))
    assert [len(one.pods[0].events) for one in history] == [0, 4]


def test_an_upgrade_that_is_over_costs_little_however_much_its_pods_said(hot: Subject) -> None:
    cluster, records = FakeCluster(hot, {}, CYCLES["v2"]), History()
    driver = Driver(
        lambda: cluster.api,
        "run",
        hot,
        ["pod-1"],
        progress=Forgetful(),
        records=records,
        clock=cluster.time.clock,
        source=cluster,
    )
    used = []
    tracemalloc.start()
    try:
        with driver:
            for index in range(1, 61):
                make(driver, cluster, index)
                used.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert {len(one.pods[0].events) > 2 * LINES for one in records} == {True}
    assert (used[-1] - used[19]) / 40 < MOST_BYTES


class Forgetful(Told):
    """A Progress that shows and forgets."""

    def phase(self, upgrade: int, pod: str, phase: PhaseName, at: float) -> None: ...


def make(driver: Driver, cluster: FakeCluster, index: int) -> None:
    """The next upgrade of one pod, whose containers write lines of their own each time."""
    tags, names = ("v1", "v2"), ("mesh-1", "mesh-2")
    source, target = tags if index % 2 else tags[::-1]
    working, idle = names if index % 2 else names[::-1]
    former, now = index - 1, cluster.time.now
    cluster.script = {
        image(target): f"""
           0 pod-1 Ready {working}={source}/{source}:running:{former}r {idle}=empty/empty:running:{former}r
          70 pod-1 Ready {working}={source}/{source}:running:{former}r {idle}={target}/empty:running:{former}r
         950 pod-1 Ready {working}={source}/{source}:running:{former}r {idle}={target}/{target}:running:{index}r
        5100 pod-1 Ready {working}=empty/{source}:running:{former}r {idle}={target}/{target}:running:{index}r
        5900 pod-1 Ready {working}=empty/empty:running:{index}r {idle}={target}/{target}:running:{index}r"""
    }
    cluster.api.asked.clear()
    driver.begin(Step(index, image(source), image(target)))
    said = [{"event": "moved", "time": now + 1 + line / 7, "connection": line} for line in range(LINES)]
    text = "".join(f"{to_rfc3339(now + 1)} {json.dumps(line)}\n" for line in said)
    cluster.logs = {("pod-1", name, False): text for name in names}
    driver.settle()
    driver.idle(PAUSE_S)
