"""The player on a driver that does nothing but take notes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from harness import play
from harness.act import Act
from harness.exec import Executed
from harness.manifest import read_subject
from harness.play import Player, Stage
from harness.progress import Silent
from harness.record.upgrade import Upgrade
from harness.scenarios import steps
from harness.scenarios.catalogue import SCENARIOS, Turn
from harness.scenarios.scenario import Scenario
from harness.upgrade.history import History
from harness.upgrade.step import Step
from harness.upgrade.view import ContainerView, PodView
from harness.verdict.requirements import Requirements

MANIFEST = Path(__file__).parents[1] / "e2e" / "manifests" / "hotupgrade-sidecarset.yaml"
SUBJECT = read_subject(MANIFEST, to=[], port=None, upgrade="hot")
PAIR = {"sidecar-1": ContainerView("sidecar:v1", restarts=0), "sidecar-2": ContainerView("sidecar:empty")}


def nothing() -> None:
    """Time passes, and that is all."""


@dataclass
class Pod:
    """How far a pod is."""

    settled: bool = False
    reached: set[str] = field(default_factory=set)


class NotedDriver:
    """A driver of two pods; `on_idle` is what happens while time passes."""

    def __init__(self, records: History) -> None:
        self.names = ["pod-1", "pod-2"]
        self.pods = {name: Pod() for name in self.names}
        self.views = {name: PodView(name, True, PAIR) for name in self.names}
        self.done: list[object] = []
        self.on_idle: Callable[[], None] = nothing
        self._records = records

    def begin(self, step: Step, expect: str) -> None:
        self.done.append((step.source, step.target, expect))
        self._records.append(
            Upgrade.model_validate({"index": 1, "from": step.source, "to": step.target, "patched": 0.0})
        )

    def settle(self, count: int | None = None) -> None:
        self.done.append(("settle", count))

    def until(self, what: str, check: Any, within_s: float) -> None:
        self.done.append((what, check()))

    def idle(self, pause_s: float) -> None:
        self.on_idle()

    def dismiss(self, name: str) -> None:
        self.names.remove(name)


class NotedCluster:
    """A cluster without an API; its images have names of their own in each upgrade."""

    def client(self) -> Any:
        return None

    def alias(self, ref: str, index: int) -> str:
        return f"{ref}-hotupgrade.{index}"

    def restart(self, part: str, within_s: float) -> None:
        raise AssertionError(part)


@dataclass
class Played:
    """What came of it."""

    act: Act
    driver: NotedDriver

    @property
    def checks(self) -> list[tuple[str, str]]:
        return [(check.name, check.outcome) for check in self.act.checks]


def prepared(*script: steps.Step) -> tuple[Player, Played]:
    scenario = Scenario("trial", "core", "A trial.", script)
    required = Requirements(min_requests=1, upgrades=1, pods=2, classes=(), version_header=None)
    act = Act(Turn(scenario), required, image="sidecar:v1")
    driver = NotedDriver(act.upgrades)
    workload: Any = type("Nowhere", (), {"namespace": "run"})()
    stage = Stage(cast(Any, NotedCluster()), workload, SUBJECT, 1, cast(Any, driver), Silent(), lambda: 0.0)
    return Player(act, stage), Played(act, driver)


def played(*script: steps.Step) -> Played:
    player, seen = prepared(*script)
    player.play(script)
    return seen


def test_upgrades_alternate_and_start_from_what_settled_last() -> None:
    seen = played(steps.Upgrade(count=2))
    assert seen.driver.done == [
        ("sidecar:v1", "sidecar:v2-hotupgrade.1001", "settled"),
        ("settle", None),
        ("sidecar:v2-hotupgrade.1001", "sidecar:v1-hotupgrade.1002", "settled"),
        ("settle", None),
    ]
    assert seen.act.image == "sidecar:v1-hotupgrade.1002"


def test_a_release_that_halts_changes_nothing_of_what_works() -> None:
    seen = played(steps.Begin("mutant:bad", expect="halted", fault="a release with a fault"), steps.Upgrade())
    assert seen.driver.done[:2] == [
        ("sidecar:v1", "mutant:bad-hotupgrade.1001", "halted"),
        ("sidecar:v1", "sidecar:v2-hotupgrade.1002", "settled"),
    ]
    assert [(fault.name, fault.detail) for fault in seen.act.faults] == [
        ("a release with a fault", "mutant:bad")
    ]


def test_a_roll_back_goes_from_what_was_begun_to_what_works() -> None:
    seen = played(steps.Begin(expect="halted"), steps.Begin(steps.PREVIOUS), steps.Settle())
    assert seen.driver.done[1] == ("sidecar:v2-hotupgrade.1001", "sidecar:v1-hotupgrade.1002", "settled")
    assert seen.act.image == "sidecar:v1-hotupgrade.1002"


def test_an_image_that_exists_nowhere_has_no_other_name() -> None:
    seen = played(steps.Begin(steps.MISSING, expect="halted"))
    assert seen.driver.done == [("sidecar:v1", f"sidecar:{play.NOWHERE}", "halted")]


@pytest.mark.parametrize(("settled", "outcome"), [(1, "passed"), (2, "failed"), (0, "failed")])
def test_as_many_pods_as_a_halt_allows_and_no_more_may_settle(settled: int, outcome: str) -> None:
    player, seen = prepared()
    for pod in list(seen.driver.pods.values())[:settled]:
        pod.settled = True
    player.play([steps.Halted(1.0, pods=1)])
    assert [outcome for _, outcome in seen.checks] == [outcome]


def test_a_restart_where_nothing_may_happen_is_seen() -> None:
    assert played(steps.Unchanged(1.0)).checks == [("nothing happens", "passed")]
    player, seen = prepared()

    def restart() -> None:
        again = {**PAIR, "sidecar-1": ContainerView("sidecar:v1", restarts=1)}
        seen.driver.views["pod-2"] = PodView("pod-2", True, again)

    seen.driver.on_idle = restart
    player.play([steps.Unchanged(1.0)])
    assert seen.checks == [("nothing happens", "failed")]
    assert seen.act.checks[0].observed == "changed: pod-2"


def test_commands_run_in_the_container_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, str]] = []

    def execute(client: Any, namespace: str, pod: str, container: str, *_: Any) -> Executed:
        ran.append((pod, container))
        return Executed(0, "")

    monkeypatch.setattr(play, "execute", execute)
    seen = played(
        steps.Execute("touch", ("true",)), steps.Execute("end it", ("true",), container="application")
    )
    assert ran == [("pod-1", "sidecar-1"), ("pod-2", "sidecar-1"), ("pod-1", "app"), ("pod-2", "app")]
    assert [fault.pod for fault in seen.act.faults] == ["pod-1", "pod-2"] * 2


@pytest.mark.parametrize(
    ("counts", "outcome"), [((100, 110), "passed"), ((100, 150), "failed"), ((9, 25), "passed")]
)
def test_an_image_that_holds_many_more_files_than_another_leaks(
    monkeypatch: pytest.MonkeyPatch, counts: tuple[int, int], outcome: str
) -> None:
    def execute(*arguments: Any) -> Executed:
        return Executed(0, f"{counts['v2' in seen.act.image]}\n")

    monkeypatch.setattr(play, "execute", execute)
    player, seen = prepared()
    player.play([steps.Descriptors(), steps.Upgrade(), steps.Descriptors()])
    assert seen.checks == [("descriptors", outcome)]


def test_an_image_without_a_shell_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(play, "execute", lambda *_: Executed(127, "no such file"))
    assert played(steps.Descriptors()).checks == []


def test_every_step_of_the_catalogue_is_known_to_the_player() -> None:
    kinds = {type(step) for scenario in SCENARIOS.values() for step in scenario.steps}
    known = Player.__dict__["_do"].dispatcher
    unknown = [kind for kind in kinds if known.dispatch(kind) is known.dispatch(object)]
    assert unknown == []
