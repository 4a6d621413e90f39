"""The harness tries itself: each fault is caught, the reference passes, and a busy machine raises no false alarm.

Knows nothing of how a run works, and of terminals.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.cluster.protocol import Cluster
from harness.errors import HotupgradeError
from harness.manifest import Subject
from harness.progress import Progress
from harness.record.report import Report
from harness.run import RunOptions, execute
from harness.scenarios.catalogue import SCENARIOS, Turn, of_profile, programme
from harness.scenarios.controls import Control

BURN = "while True: pass"  # what keeps a core busy
ENDED_WITHIN_S = 5.0
CLEAN_SCENARIO = "single-upgrade"


@dataclass(frozen=True)
class Verdict:
    """One line of the self-test: what was tried, whether it came out as it must, and what shows it."""

    what: str
    held: bool
    shown: str
    seconds: float


@dataclass(frozen=True)
class Stage:
    """Where all runs of a self-test go: how a subject and a cluster are had, and the folder of the reports."""

    subject: Callable[[Sequence[str]], Subject]
    """With these images to upgrade to, or the usual ones."""
    cluster: Callable[[Sequence[Path]], Cluster]
    """With these folders of images beside the kit's own."""
    mutants: Path
    reports: Path
    command: Sequence[str]
    progress: Progress
    before_run: Callable[[], None]
    """From now on a signal may end the run."""
    before_teardown: Callable[[], None]

    def play(self, to: Sequence[str], turns: Sequence[Turn]) -> Report:
        """One run and its report; what ended it early is raised unless it is part of the verdict."""
        self.before_run()
        options = RunOptions(
            subject=self.subject(to),
            turns=turns,
            version_header="x-sidecar-version",
            reports=self.reports,
            command=self.command,
        )
        result = execute(options, self.cluster([self.mutants]), self.progress, self.before_teardown)
        if result.error is not None and not isinstance(result.error, HotupgradeError):
            raise result.error
        return result.report


def catch(control: Control, stage: Stage) -> Verdict:
    """Plays a fault; held if what has to catch it did."""
    began = time.monotonic()
    report = stage.play([control.image], [Turn(control.scenario)])
    caught = [name for name in _not_passed(report) if name in control.caught_by]
    shown = f"{', '.join(caught)}: {report.outcome}" if caught else f"not caught: {report.outcome}"
    return Verdict(
        control.mutant, bool(caught) and report.outcome != "passed", shown, time.monotonic() - began
    )


def _not_passed(report: Report) -> Iterator[str]:
    """The classes and gates that did not pass."""
    for scenario in report.scenarios:
        yield from (name for name, of_class in scenario.classes.items() if of_class.outcome == "failed")
        yield from (gate.name for gate in scenario.gates if gate.outcome in ("failed", "inconclusive"))


def conform(stage: Stage) -> Iterator[Verdict]:
    """The reference plays the whole catalogue; each profile has to pass."""
    began = time.monotonic()
    report = stage.play([], programme(of_profile("all"), 1, None))
    seconds = time.monotonic() - began
    parts = {
        "core": report.profile.core,
        "extended": report.profile.extended,
        "resilience": report.profile.resilience,
    }
    for name, part in parts.items():
        result = part.result if part else "skipped"
        shown = result if part is None else f"{result}: {_counts(part.statistics)}"
        yield Verdict(f"reference, {name}", result == "passed", shown, seconds)


def _counts(statistics: object) -> str:
    assert isinstance(statistics, dict)
    return ", ".join(f"{count} {what}" for what, count in statistics.items() if count)


def stay_calm(runs: int, stage: Stage) -> Verdict:
    """Runs of the reference beside processes that keep all cores busy; none may be called failed."""
    began = time.monotonic()
    with _contention():
        report = stage.play([], programme([SCENARIOS[CLEAN_SCENARIO]], runs, None))
    outcomes = [scenario.outcome for scenario in report.scenarios]
    counted = {outcome: outcomes.count(outcome) for outcome in dict.fromkeys(outcomes)}
    shown = ", ".join(f"{count} {outcome}" for outcome, count in counted.items())
    held = "failed" not in outcomes and len(outcomes) == runs
    return Verdict(f"{runs} clean runs under contention", held, shown, time.monotonic() - began)


@contextmanager
def _contention() -> Iterator[None]:
    """One process for each core that does nothing but keep it busy."""
    burners = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
        for burner in burners:
            burner.wait(ENDED_WITHIN_S)
