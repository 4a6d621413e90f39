"""The phases of recorded upgrades: one line per fact that the recordings taught."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from harness.manifest import Subject
from harness.record.upgrade import PodEvent
from harness.upgrade.phases import PodPhases
from harness.upgrade.view import PodView
from tests.upgrade.recordings import (
    BACKS_OFF,
    BAD,
    COLD,
    CYCLES,
    EPOCH,
    FAILING_HOOK,
    ROLLING,
    SLOW_HOOK,
    THEN_GOOD,
    image,
    views,
)

Delivery = tuple[float, PodView]


def play(subject: Subject, source: str, target: str, deliveries: Iterable[Delivery]) -> PodPhases:
    first, *rest = deliveries
    phases = PodPhases(subject, image(source), image(target), first[1])
    for at, view in rest:
        phases.see(view, at)
    return phases


def spans(phases: PodPhases) -> dict[str, tuple[int, int | None]]:
    """Phases in milliseconds since the step began."""
    return {
        phase.name: (
            round((phase.start - EPOCH) * 1000),
            None if phase.end is None else round((phase.end - EPOCH) * 1000),
        )
        for phase in phases.record().phases
    }


def started(deliveries: Iterable[Delivery], name: str, at: float) -> list[Delivery]:
    """The deliveries with `startedAt` in the status of a container, once it was restarted."""
    changed = []
    first: int | None = None
    for time, view in deliveries:
        container = view.containers[name]
        first = container.restarts if first is None else first
        if container.restarts > first:
            containers = {**view.containers, name: replace(container, started=at)}
            changed.append((time, replace(view, containers=containers)))
        else:
            changed.append((time, view))
    return changed


def line(at: float, reason: str, container: str) -> PodEvent:
    return PodEvent(at=at, source="sidecar", reason=reason, container=container)


@pytest.mark.parametrize(
    ("source", "target", "working", "changed", "works", "reset", "emptied"),
    [
        ("v1", "v2", "mesh-2", 71, 949, 5116, 5976),
        ("v2", "v1", "mesh-1", 57, 895, 5092, 5925),
        ("v1", "v3", "mesh-2", 61, 995, 5093, 6001),
    ],
)
def test_each_cycle_upgrades_the_container_that_was_empty_and_resets_the_other(
    hot: Subject, source: str, target: str, working: str, changed: int, works: int, reset: int, emptied: int
) -> None:
    phases = play(hot, source, target, views(CYCLES[target]))
    record = phases.record()
    assert phases.settled
    assert (record.from_, record.to, record.working) == (image(source), image(target), working)
    assert spans(phases) == {
        "upgrade": (changed, works),
        "migration": (works, works),
        "reset": (reset, emptied),
        "settled": (emptied, None),
    }


def test_without_a_witness_the_start_of_a_migration_is_as_vague_as_the_whole_upgrade(hot: Subject) -> None:
    migration = play(hot, "v1", "v2", views(SLOW_HOOK)).record().phases[1]
    assert migration.witness == "watch"
    assert migration.precision_ms == pytest.approx(7011 - 96 + 50)


def test_started_at_places_the_start_of_a_slow_hook_that_the_kubelet_kept_quiet_about(hot: Subject) -> None:
    phases = play(hot, "v1", "v2", started(views(SLOW_HOOK), "mesh-2", EPOCH + 2))
    assert spans(phases)["upgrade"] == (96, 2000)
    assert spans(phases)["migration"] == (2000, 7011)
    migration = phases.record().phases[1]
    assert (migration.witness, migration.precision_ms) == ("startedAt", 1000.0)


def test_started_at_in_whole_seconds_is_never_before_the_change_of_the_image(hot: Subject) -> None:
    phases = play(hot, "v1", "v2", started(views(CYCLES["v2"]), "mesh-2", EPOCH))
    assert spans(phases)["migration"] == (71, 949)


def test_a_log_line_beats_started_at(hot: Subject) -> None:
    phases = play(hot, "v1", "v2", started(views(SLOW_HOOK), "mesh-2", EPOCH + 2))
    phases.hear([line(EPOCH + 2.345, "started", "mesh-2"), line(EPOCH + 2.4, "commit", "mesh-2")])
    migration = phases.record().phases[1]
    assert spans(phases)["migration"] == (2345, 7011)
    assert (migration.witness, migration.precision_ms) == ("log line", 1.0)


@pytest.mark.parametrize(("container", "at"), [("mesh-1", 2.0), ("mesh-2", -30.0), ("mesh-2", 60.0)])
def test_log_lines_of_other_containers_and_other_lives_do_not_count(
    hot: Subject, container: str, at: float
) -> None:
    phases = play(hot, "v1", "v2", started(views(SLOW_HOOK), "mesh-2", EPOCH + 2))
    phases.hear([line(EPOCH + at, "started", container)])
    assert phases.record().phases[1].witness == "startedAt"


def test_a_log_line_of_a_clock_that_is_off_is_kept_between_its_neighbours_and_says_so(hot: Subject) -> None:
    phases = play(hot, "v1", "v2", views(SLOW_HOOK))
    phases.hear([line(EPOCH - 0.304, "started", "mesh-2")])
    migration = phases.record().phases[1]
    assert spans(phases)["migration"] == (96, 7011)
    assert migration.precision_ms == pytest.approx(400.0)


def test_pods_of_a_rollout_are_told_apart_and_wait_their_turn(hot: Subject) -> None:
    deliveries = list(views(ROLLING))
    pods = {name: [d for d in deliveries if d[1].name == name] for name in ("pod-1", "pod-2", "pod-3")}
    found = {name: spans(play(hot, "v1", "v2", seen)) for name, seen in pods.items()}
    assert [found[name]["upgrade"][0] for name in ("pod-2", "pod-1", "pod-3")] == [99, 10148, 20231]
    assert [found[name]["settled"][0] for name in ("pod-2", "pod-1", "pod-3")] == [6882, 16919, 26972]


def test_phases_are_told_as_they_open(hot: Subject) -> None:
    deliveries = list(views(CYCLES["v2"]))
    phases = PodPhases(hot, image("v1"), image("v2"), deliveries[0][1])
    told = [opened for at, view in deliveries[1:] for opened in phases.see(view, at)]
    assert [name for name, _ in told] == ["upgrade", "migration", "reset", "settled"]


def test_a_cold_upgrade_lasts_until_its_container_runs_again_and_knows_no_migration(cold: Subject) -> None:
    phases = play(cold, "v1", "v2", views(COLD))
    assert phases.settled
    assert phases.record().working == "mesh"
    assert spans(phases) == {"upgrade": (76, 2028), "settled": (2028, None)}


def test_a_cold_upgrade_is_told_as_it_opens(cold: Subject) -> None:
    deliveries = started(views(COLD), "mesh", EPOCH + 1)
    phases = PodPhases(cold, image("v1"), image("v2"), deliveries[0][1])
    told = [opened for at, view in deliveries[1:] for opened in phases.see(view, at)]
    assert [name for name, _ in told] == ["upgrade", "settled"]


def test_a_bad_image_never_settles_and_the_predecessor_is_not_reset(hot: Subject) -> None:
    phases = play(hot, "v1", "bad", views(BAD))
    assert not phases.settled
    assert spans(phases) == {"upgrade": (105, None)}
    assert "waits for mesh-2 to run rig/does-not-exist:v9" in phases.awaited()
    assert "ErrImagePull" in phases.awaited()


def test_a_good_image_after_a_bad_one_goes_to_the_container_that_failed(hot: Subject) -> None:
    phases = play(hot, "bad", "v2", views(THEN_GOOD))
    assert phases.settled
    assert phases.record().working == "mesh-2"
    assert spans(phases)["upgrade"] == (71, 904)
    assert spans(phases)["reset"] == (928, 3903)


def test_a_hook_that_fails_began_to_migrate_at_its_first_attempt_and_never_ended(hot: Subject) -> None:
    first, changed, failed, again, last = views(FAILING_HOOK)
    attempts = []
    for (at, view), start in zip((failed, again, last), (1.0, 3.0, 17.0), strict=True):
        mesh = replace(view.containers["mesh-2"], last_started=EPOCH + start)
        attempts.append((at, replace(view, containers={**view.containers, "mesh-2": mesh})))
    phases = play(hot, "v1", "v2", [first, changed, *attempts])
    assert not phases.settled
    assert spans(phases) == {"upgrade": (70, 1000), "migration": (1000, None)}
    assert "PostStartHookError" in next(e.message for e in phases.record().events if e.at == failed[0])


def test_the_empty_process_that_ran_before_is_not_taken_for_the_successor(hot: Subject) -> None:
    """With short gaps the empty container has started in the same second in which the next patch comes."""
    first, *rest = started(views(SLOW_HOOK), "mesh-2", EPOCH + 2)
    former = []
    for at, view in rest:
        mesh = replace(view.containers["mesh-2"], last_started=EPOCH)
        former.append((at, replace(view, containers={**view.containers, "mesh-2": mesh})))
    assert spans(play(hot, "v1", "v2", [first, *former]))["migration"][0] == 2000


def test_a_predecessor_that_restarts_in_mid_upgrade_is_not_taken_for_the_empty_one(hot: Subject) -> None:
    deliveries = list(views(CYCLES["v2"]))
    crashed = []
    for at, view in deliveries[
        4:5
    ]:  # reset in the spec; the status still tells of the predecessor's new process
        mesh = replace(view.containers["mesh-1"], restarts=1)
        crashed.append((at, replace(view, containers={**view.containers, "mesh-1": mesh})))
    phases = play(hot, "v1", "v2", [*deliveries[:4], *crashed])
    assert "emptied" not in spans(phases)
    assert not phases.settled
    assert "mesh-1 to run the empty image" in phases.awaited()


def test_a_successor_that_runs_but_is_not_ready_still_migrates(hot: Subject) -> None:
    deliveries = list(views(CYCLES["v2"]))[:4]
    at, view = deliveries[-1]
    probed = replace(view.containers["mesh-2"], ready=False)
    waiting = replace(view, ready=False, containers={**view.containers, "mesh-2": probed})
    phases = play(hot, "v1", "v2", [*deliveries[:-1], (at - 0.5, waiting), (at, view)])
    assert spans(phases)["migration"][1] == 949


SAME_CONTENT_SUCCESSOR = """
      0 pod-1 Ready mesh-1=v1/v1:running:0r mesh-2=empty/v2:running:0r
     71 pod-1 Ready mesh-1=v1/v1:running:0r mesh-2=v2/v2:running:0r"""
SAME_CONTENT_PREDECESSOR = """
      0 pod-1 Ready mesh-1=v1/v1:running:0r mesh-2=empty/empty:running:0r
     71 pod-1 Ready mesh-1=v1/empty:running:1r mesh-2=v2/empty:running:0r
    949 pod-1 Ready mesh-1=v1/empty:running:1r mesh-2=v2/v2:running:1r
   5116 pod-1 Ready mesh-1=empty/empty:running:1r mesh-2=v2/v2:running:1r"""


@pytest.mark.parametrize(
    ("recording", "last"), [(SAME_CONTENT_SUCCESSOR, "upgrade"), (SAME_CONTENT_PREDECESSOR, "reset")]
)
def test_a_status_that_names_the_image_is_no_witness_before_the_container_restarted(
    hot: Subject, recording: str, last: str
) -> None:
    """Two tags of one content: a runtime may name the process that runs by either."""
    phases = play(hot, "v1", "v2", views(recording))
    assert not phases.settled
    assert phases.record().phases[-1].name == last
    assert phases.record().phases[-1].end is None


def test_a_settled_pod_that_is_not_ready_is_not_settled_yet(hot: Subject) -> None:
    deliveries = list(views(CYCLES["v2"]))
    at, last = deliveries[-1]
    phases = play(hot, "v1", "v2", [*deliveries[:-1], (at, replace(last, ready=False))])
    assert not phases.settled
    assert "the pod to be Ready again" in phases.awaited()
    phases.see(last, at + 1)
    assert phases.settled


def test_news_after_a_gap_are_as_vague_as_the_gap(hot: Subject) -> None:
    deliveries = list(views(CYCLES["v2"]))
    phases = PodPhases(hot, image("v1"), image("v2"), deliveries[0][1])
    at, last = deliveries[-1]
    phases.see(last, at, slack_s=5.0)
    assert phases.settled
    found = phases.record().phases
    assert [phase.name for phase in found] == ["upgrade", "migration", "reset", "settled"]
    assert all(phase.precision_ms >= 5000 for phase in found)
    assert all(phase.start <= (phase.end or phase.start) for phase in found)


def test_what_the_watch_saw_is_kept_as_events(hot: Subject) -> None:
    events = play(hot, "v1", "v2", views(CYCLES["v2"])).record().events
    assert [(e.container, e.reason) for e in events] == [
        ("mesh-2", "ImageChanged"),
        ("mesh-2", "Running"),
        ("mesh-1", "ImageChanged"),
        ("mesh-1", "Running"),
    ]


def test_the_kubelets_delay_is_a_phase_of_its_own_in_upgrade_and_in_reset(hot: Subject) -> None:
    phases = play(hot, "v1", "v2", views(BACKS_OFF)).record().phases
    seen = [
        (phase.name, round(phase.start - EPOCH, 1), phase.end and round(phase.end - EPOCH, 1))
        for phase in phases
    ]
    assert seen == [
        ("upgrade", 0.1, 0.3),
        ("back-off", 0.3, 40.3),
        ("migration", 40.3, 40.3),
        ("reset", 45.0, 45.5),
        ("back-off", 45.5, 71.0),
        ("settled", 71.0, None),
    ]


def test_a_pod_backs_off_only_while_its_kubelet_waits(hot: Subject) -> None:
    first, *rest = views(BACKS_OFF)
    phases = PodPhases(hot, image("v1"), image("v2"), first[1])
    waits = []
    for at, view in rest:
        phases.see(view, at)
        waits.append(phases.backs_off)
    assert waits == [False, True, False, False, True, False]


def test_a_new_image_that_crashes_is_no_delay_of_the_kubelet(hot: Subject) -> None:
    phases = play(hot, "v1", "v2", views(FAILING_HOOK))
    assert "back-off" not in {phase.name for phase in phases.record().phases}
    assert not phases.backs_off


def test_an_image_under_another_of_its_names_is_the_same_image(hot: Subject) -> None:
    renamed = [(at, _renamed(view)) for at, view in views(CYCLES["v2"])]
    phases = PodPhases(hot, image("v1"), image("v2") + "-hotupgrade.7", renamed[0][1])
    for at, view in renamed[1:]:
        phases.see(view, at)
    record = phases.record()
    assert phases.settled
    assert (record.from_, record.to) == (image("v1"), image("v2"))


def _renamed(view: PodView) -> PodView:
    """The spec has the upgrade's own name of v2; the runtime reports the image under another."""
    containers = {
        name: replace(one, image=one.image + "-hotupgrade.7") if one.image == image("v2") else one
        for name, one in view.containers.items()
    }
    return replace(view, containers=containers)
