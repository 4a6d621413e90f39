from itertools import pairwise

from harness.record.series import SLOT_S
from harness.record.upgrade import PodEvent, Upgrade
from harness.verdict.thinning import WHOLE, thinned
from harness.verdict.timeline import MOST_POINTS, timeline
from tests.record.slots import Slot, packed
from tests.verdict import synthetic
from tests.verdict.synthetic import START


def slots(count: int) -> list[Slot]:
    return [
        Slot(
            at=round(START + number * SLOT_S, 1),
            traffic_class="post",
            pod="app-0",
            sent=2,
            versions={"v1": 2},
            opened=1,
            cut=1,
            latency_us={1000: 1, 2000: 1},
        )
        for number in range(count)
    ]


def test_a_long_run_is_drawn_in_as_many_points_as_a_screen_takes_and_loses_no_count() -> None:
    made = slots(3 * MOST_POINTS - 5)
    made[777].latency_us = {400_000: 2}
    points = timeline(packed(made), [])
    assert len(points) == MOST_POINTS - 1
    assert {round(b.at - a.at, 3) for a, b in pairwise(points)} == {0.3}
    for name in ("sent", "opened", "cut"):
        assert sum(getattr(point, name) for point in points) == sum(getattr(slot, name) for slot in made)
    assert sum(point.versions["v1"] for point in points) == 2 * len(made)
    assert [number for number, point in enumerate(points) if point.p99 == 400] == [777 // 3]
    assert {point.p50 for point in points} == {1.0}


def test_a_short_run_is_drawn_slot_by_slot() -> None:
    assert [point.at for point in timeline(packed(slots(5)), [])] == [slot.at for slot in slots(5)]
    assert timeline([], []) == []


def with_events(count: int) -> list[Upgrade]:
    upgrades = [synthetic.upgrade(1 + number, START + 5 * number) for number in range(count)]
    for upgrade in upgrades:
        for pod in upgrade.pods:
            at, working = pod.phases[1].start, pod.working
            pod.events = [
                PodEvent(at=at, source="sidecar", reason="started", container=working),
                PodEvent(at=at, source="sidecar", reason="commit", container=working),
                PodEvent(at=at, source="sidecar", reason="drained", container="another"),
                PodEvent(at=at, source="watch", reason="Terminated", container=working),
            ]
    return upgrades


def test_of_thousands_of_upgrades_the_first_and_those_with_failures_keep_all_events() -> None:
    made = with_events(WHOLE + 3)
    kept, notes = thinned(made, {WHOLE + 2})
    counts = [[len(pod.events) for pod in upgrade.pods] for upgrade in kept]
    assert counts == [[4, 4]] * WHOLE + [[2, 2], [4, 4], [2, 2]]
    assert {event.reason for event in kept[WHOLE].pods[0].events} == {"started", "Terminated"}
    assert notes[0].startswith("8 events of pods are left out")
    assert [len(pod.events) for pod in made[WHOLE].pods] == [4, 4]


def test_few_upgrades_keep_everything() -> None:
    made = with_events(WHOLE)
    assert thinned(made, set()) == (made, [])
