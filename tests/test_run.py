"""How a run ends: what ended it is told, also where taking down fails after it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from harness.act import Act
from harness.errors import ClusterError
from harness.manifest import read_subject
from harness.record.report import ClusterInfo, Controller
from harness.run import Result, RunOptions, _Run, execute
from harness.scenarios.catalogue import SCENARIOS, Turn
from harness.site import Site
from tests.upgrade.fakes import FakeApi, refusal

MANIFEST = Path(__file__).parents[1] / "e2e" / "manifests" / "hotupgrade-sidecarset.yaml"


class Silent:
    """Progress that nobody watches."""

    def __getattr__(self, _: str) -> Any:
        return lambda *_: None


class Failing:
    """A cluster whose API takes a namespace or does not, and cannot list anything when all is taken down."""

    kind, outlives_run, images_loaded = "current", True, False
    features: frozenset[str] = frozenset()

    def __init__(self, first: BaseException) -> None:
        self._first, self._clients = first, 0

    def preflight(self, images: object) -> None:
        pass

    def up(self, site: Site) -> None:
        pass

    def client(self) -> FakeApi:
        self._clients += 1
        if self._clients == 1:
            raise self._first
        return FakeApi(lambda *_: refusal(500, "etcd is gone", "InternalError"))

    def info(self) -> ClusterInfo:
        nobody = Controller(name="Kruise", version="1")
        return ClusterInfo(kind="current", kubernetes="1", controller=nobody, nodes=["n"], notes=[])

    def down(self) -> None:
        pass


@pytest.mark.parametrize("first", [ClusterError("the first trouble"), KeyboardInterrupt()])
def test_what_ended_a_run_is_told_before_what_failed_on_the_way_out(
    tmp_path: Path, first: BaseException
) -> None:
    result = _run(tmp_path, first)
    assert result.error is first


@pytest.mark.parametrize("after", [None, Turn(SCENARIOS["spike"])])
def test_a_scenario_may_follow_that_is_made_of_what_the_last_one_saw(
    tmp_path: Path, after: Turn | None
) -> None:
    seen: list[Any] = []

    def then(act: Act) -> Turn | None:
        seen.append(act)
        return after

    options = replace(_options(tmp_path), then=then)
    run = object.__new__(_Run)
    run._options, run._account = options, cast(Any, Acts())
    played = []
    for turn in run._turns():
        played.append(turn)
        run._account.acts.append(cast(Any, f"act of {turn.scenario.name}"))
    assert played == [*options.turns, *([after] if after else [])]
    assert seen == ["act of single-upgrade"]
    assert (options.single, _options(tmp_path).single) == (False, True)


class Acts:
    """An account that has nothing but them."""

    def __init__(self) -> None:
        self.acts: list[Any] = []


def _run(reports: Path, first: BaseException) -> Result:
    options = _options(reports)
    return execute(options, cast(Any, Failing(first)), cast(Any, Silent()), before_teardown=lambda: None)


def _options(reports: Path) -> RunOptions:
    subject = read_subject(MANIFEST, to=[], port=None, upgrade="hot", container_name=None)
    return RunOptions(
        subject=subject,
        turns=[Turn(SCENARIOS["single-upgrade"])],
        version_header=None,
        reports=reports,
        command=["hotupgrade"],
    )
