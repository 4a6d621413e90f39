"""The driver on recorded pods and a virtual clock."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.errors import ClusterError, Timeout
from harness.manifest import Subject
from harness.record.upgrade import Upgrade
from harness.upgrade.driver import PAUSE_S, Driver, UpgradeTimeout
from harness.upgrade.history import History
from harness.upgrade.observe import Sighting
from harness.upgrade.step import Step
from harness.upgrade.view import PodView
from harness.upgrade.waits import TIMEOUTS
from tests.upgrade.fakes import FakeCluster, Told
from tests.upgrade.recordings import BAD, COLD, CYCLES, EPOCH, ROLLING, image

BOTH = {image("v2"): CYCLES["v2"], image("v1"): CYCLES["v1"]}


def drive(
    cluster: FakeCluster,
    count: int,
    *,
    pods: tuple[str, ...] = ("pod-1",),
    progress: Told | None = None,
    records: History | None = None,
) -> list[Upgrade]:
    """Upgrades one after the other, as a plain scenario makes them."""
    records = records if records is not None else History()
    current = cluster.subject.image
    with driver(cluster, records, pods=pods, progress=progress) as driven:
        for index in range(1, count + 1):
            source, current = current, cluster.subject.image_after(current)
            driven.begin(Step(index, source, current))
            driven.settle()
            driven.idle(PAUSE_S)
    return list(records)


def driver(
    cluster: FakeCluster,
    records: History,
    *,
    pods: tuple[str, ...] = ("pod-1",),
    progress: Told | None = None,
) -> Driver:
    return Driver(
        lambda: cluster.api,
        "run",
        cluster.subject,
        pods,
        progress=progress or Told(),
        records=records,
        clock=cluster.time.clock,
        source=cluster,
    )


def test_upgrades_go_there_and_back_one_after_the_other_with_a_gap(hot: Subject) -> None:
    first, second = drive(FakeCluster(hot, BOTH, CYCLES["v2"]), 2)
    assert [(u.index, u.from_, u.to) for u in (first, second)] == [
        (1, image("v1"), image("v2")),
        (2, image("v2"), image("v1")),
    ]
    assert first.settled is not None
    assert first.settled == pytest.approx(first.patched + 5.976)
    assert second.patched == pytest.approx(first.settled + 0.5)
    assert [pod.working for upgrade in (first, second) for pod in upgrade.pods] == ["mesh-2", "mesh-1"]


def test_progress_hears_each_phase_while_it_happens(hot: Subject) -> None:
    told = Told()
    drive(FakeCluster(hot, BOTH, CYCLES["v2"]), 1, progress=told)
    phases = ["steady", "upgrade", "migration", "reset", "settled"]
    assert told.phases == [(1, "pod-1", phase) for phase in phases]


def test_an_upgrade_ends_when_the_last_pod_is_settled(hot: Subject) -> None:
    cluster = FakeCluster(hot, {image("v2"): ROLLING}, ROLLING)
    (upgrade,) = drive(cluster, 1, pods=("pod-1", "pod-2", "pod-3"))
    assert upgrade.settled == pytest.approx(upgrade.patched + 26.972)
    assert [pod.name for pod in upgrade.pods] == ["pod-1", "pod-2", "pod-3"]
    assert all(pod.phases[-1].name == "settled" for pod in upgrade.pods)


def test_a_cold_upgrade_settles_when_its_container_runs_again(cold: Subject) -> None:
    (upgrade,) = drive(FakeCluster(cold, {image("v2"): COLD}, COLD), 1)
    assert upgrade.settled == pytest.approx(upgrade.patched + 2.028)
    assert [phase.name for phase in upgrade.pods[0].phases] == ["upgrade", "settled"]


def test_pods_of_others_in_the_namespace_are_not_heeded(hot: Subject) -> None:
    cluster = FakeCluster(hot, BOTH, CYCLES["v2"])
    cluster.coming.insert(0, Sighting(PodView("load-1", True, {}), EPOCH, gone=True))
    assert drive(cluster, 1)[0].settled is not None


def test_what_the_pods_said_is_in_the_record_and_places_the_migration(hot: Subject) -> None:
    cluster = FakeCluster(hot, BOTH, CYCLES["v2"])
    stamp = "2023-11-14T22:13:20.500000001Z"
    cluster.logs["pod-1", "mesh-2", False] = (
        f'{stamp} {{"time": {EPOCH + 0.512}, "event": "started", "role": "successor"}}\n{stamp} plain words\n'
    )
    cluster.logs["pod-1", "mesh-1", True] = f'{stamp} {{"time": {EPOCH + 0.6}, "event": "drained"}}\n'
    cluster.logs["pod-1", "mesh-1", False] = ""
    cluster.events = [event("pod-1", "Killing", "2023-11-14T22:13:21Z"), event("load-1", "Killing", None)]
    (upgrade,) = drive(cluster, 1)
    pod = upgrade.pods[0]
    migration = pod.phases[1]
    assert (migration.start, migration.witness) == (EPOCH + 0.512, "log line")
    said = {(e.source, e.container, e.reason) for e in pod.events if e.source != "watch"}
    assert said == {
        ("sidecar", "mesh-2", "started"),
        ("sidecar", "mesh-2", "log"),
        ("sidecar", "mesh-1", "drained"),
        ("kubelet", "mesh-2", "Killing"),
    }


def event(pod: str, reason: str, at: str | None) -> dict[str, Any]:
    return {
        "metadata": {"name": f"{pod}.1", "creationTimestamp": "2023-11-14T22:13:20Z"},
        "involvedObject": {"kind": "Pod", "name": pod, "fieldPath": "spec.containers{mesh-2}"},
        "source": {"component": "kubelet"},
        "reason": reason,
        "message": "definition changed, will be restarted",
        "lastTimestamp": at,
    }


def test_a_halt_ends_with_what_was_awaited_what_was_seen_and_the_last_words(hot: Subject) -> None:
    subject = replace(hot, images=(image("v1"), image("bad")))
    cluster = FakeCluster(subject, {image("bad"): BAD}, BAD)
    cluster.logs["pod-1", "mesh-1", False] = "2023-11-14T22:13:20Z serving as ever\n"
    cluster.events = [event("pod-1", "Failed", "2023-11-14T22:13:21Z")]
    records = History()
    with pytest.raises(UpgradeTimeout) as caught:
        drive(cluster, 2, records=records)
    head, *rest = str(caught.value).splitlines()
    assert "upgrade 1 from rig/agent:v1 to rig/does-not-exist:v9 took no step for 120 s" in head
    assert "pod-1: waits for mesh-2 to run rig/does-not-exist:v9" in head
    assert "ErrImagePull" in head
    assert any("Failed" in text for text in rest)
    assert any("serving as ever" in text for text in rest)
    assert any("log of mesh-2" in text for text in rest)
    assert isinstance(caught.value, Timeout)
    assert not caught.value.of_sidecar
    assert records[0].settled is None
    assert records[0].pods[0].phases[0].name == "upgrade"
    assert cluster.time.now == pytest.approx(EPOCH + 0.105 + TIMEOUTS.step_s, abs=1)


def test_a_successor_that_runs_and_never_works_is_its_own_doing(hot: Subject) -> None:
    cluster = FakeCluster(hot, {image("v2"): "\n".join(CYCLES["v2"].splitlines()[:4])}, CYCLES["v2"])
    stamp = "2023-11-14T22:13:20.500000001Z"
    cluster.logs["pod-1", "mesh-2", False] = f'{stamp} {{"time": {EPOCH + 0.512}, "event": "started"}}\n'
    with pytest.raises(UpgradeTimeout) as caught:
        drive(cluster, 1)
    assert caught.value.of_sidecar == ("works" not in str(caught.value))


def test_a_slow_rollout_that_moves_on_is_not_a_halt(hot: Subject) -> None:
    late = ROLLING.replace(" 20231 ", "120231 ").replace(" 21948 ", "130948 ")
    late = late.replace(" 25272 ", "135272 ").replace(" 26972 ", "250972 ")
    cluster = FakeCluster(hot, {image("v2"): late}, ROLLING)
    (upgrade,) = drive(cluster, 1, pods=("pod-1", "pod-2", "pod-3"))
    assert upgrade.settled == pytest.approx(upgrade.patched + 250.972)


def test_so_many_pods_can_be_waited_for_and_the_rest_later(hot: Subject) -> None:
    cluster = FakeCluster(hot, {image("v2"): ROLLING}, ROLLING)
    records = History()
    with driver(cluster, records, pods=("pod-1", "pod-2", "pod-3")) as driven:
        driven.begin(Step(1, image("v1"), image("v2")))
        driven.settle(1)
        assert sum(pod.settled for pod in driven.pods.values()) == 1
        assert records[0].settled is None
        driven.settle()
    assert records[0].settled == pytest.approx(records[0].patched + 26.972)


def test_a_phase_can_be_waited_for(hot: Subject) -> None:
    cluster = FakeCluster(hot, BOTH, CYCLES["v2"])
    with driver(cluster, History()) as driven:
        driven.begin(Step(1, image("v1"), image("v2")))
        driven.until("the upgrade", lambda: "upgrade" in driven.pods["pod-1"].reached, 5.0)
        assert driven.pods["pod-1"].reached == {"upgrade"}


def test_what_never_comes_is_named_with_what_was_seen(hot: Subject) -> None:
    cluster = FakeCluster(hot, {image("v2"): CYCLES["v2"].splitlines()[0]}, CYCLES["v2"])
    with driver(cluster, History()) as driven:
        driven.begin(Step(1, image("v1"), image("v2")))
        with pytest.raises(UpgradeTimeout, match="waited 5 s for the moon; upgrade 1 from"):
            driven.until("the moon", lambda: False, 5.0)


def test_a_halted_upgrade_is_recorded_as_that_beside_the_one_that_mends_it(hot: Subject) -> None:
    cluster = FakeCluster(hot, BOTH, CYCLES["v2"])
    records = History()
    with driver(cluster, records) as driven:
        driven.begin(Step(1, image("v1"), image("v2")), "halted")
        driven.idle(1.0)
        assert [record.expect for record in records] == ["halted"]


def test_an_interrupt_leaves_what_was_seen_in_the_list(hot: Subject) -> None:
    cluster = FakeCluster(hot, {image("v2"): "\n".join(CYCLES["v2"].splitlines()[:5])}, CYCLES["v2"])

    def interrupt() -> None:
        raise KeyboardInterrupt

    cluster.on_idle = interrupt
    records = History()
    with pytest.raises(KeyboardInterrupt):
        drive(cluster, 1, records=records)
    assert [phase.name for phase in records[0].pods[0].phases] == ["upgrade", "migration"]


def test_a_pod_that_goes_away_ends_the_run_with_its_name(hot: Subject) -> None:
    cluster = FakeCluster(hot, {image("v2"): CYCLES["v2"]}, CYCLES["v2"])
    before = cluster.coming[0]
    cluster.on_idle = lambda: None
    cluster.script = {image("v2"): "\n".join(CYCLES["v2"].splitlines()[:4])}
    cluster.coming.append(replace(before, at=EPOCH + 3.0, gone=True))
    with pytest.raises(ClusterError, match="pod pod-1 went away during upgrade 1"):
        drive(cluster, 1)


def test_a_pod_that_was_never_seen_is_named(hot: Subject) -> None:
    with pytest.raises(Timeout, match="pods pod-9 were not seen"):
        drive(FakeCluster(hot, BOTH, CYCLES["v2"]), 1, pods=("pod-1", "pod-9"))


def test_conflicts_do_not_keep_the_patch_from_coming_through(hot: Subject) -> None:
    cluster = FakeCluster(hot, BOTH, CYCLES["v2"])
    cluster.conflicts = 3
    assert drive(cluster, 1)[0].settled is not None
    assert cluster.set["spec"]["containers"][0]["image"] == image("v2")
