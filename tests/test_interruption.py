"""Whatever ends `hotupgrade run`, at whatever moment: nothing is left but the report."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.embedded.machine import layout, network

MANIFEST = Path(__file__).parents[1] / "e2e" / "manifests" / "hotupgrade-sidecarset.yaml"
MOMENT_WITHIN_S = (
    180.0  # all moments come in the first ten seconds of a run on a machine that has time for it
)
GONE_WITHIN_S = 10.0  # a second, on a machine with nothing else to do
ENDS_WITHIN_S = 60.0
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
"""As users have it: without its buffer, standard output has no lock that a thread could hold when the process ends."""
MOMENTS = ("cluster is up", "pods with their sidecars", "requests flow", "upgrade 1")

pytestmark = pytest.mark.integration


class Run:
    """`hotupgrade run` with a mark in its environment, which every process that it starts inherits."""

    def __init__(self, reports: Path) -> None:
        self.mark, self.reports = f"HOTUPGRADE_TEST_MARK={uuid.uuid4()}", reports
        self.temporary = reports.parent / "temporary"
        self.temporary.mkdir()
        name, _, value = self.mark.partition("=")
        command = [str(Path(sys.executable).with_name("hotupgrade")), "run", "-f", str(MANIFEST)]
        self.process = subprocess.Popen(
            [*command, "--reports", str(reports)],
            env={**BUFFERED, name: value, "TMPDIR": str(self.temporary)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def until(self, moment: str) -> None:
        deadline = time.monotonic() + MOMENT_WITHIN_S
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if moment in line:
                return
            assert time.monotonic() < deadline, f"{moment!r} did not come"
        pytest.fail(f"the run ended before {moment!r}")

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """The exit code, and what was still said."""
        self.process.send_signal(number)
        assert self.process.stdout is not None
        said = self.process.stdout.read()
        return self.process.wait(ENDS_WITHIN_S), said

    def living(self) -> list[str]:
        """Processes that carry the mark, process 1 of the machine among them; containers cannot outlive that one."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue  # ended meanwhile, or another user's
        return found


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path / "reports")
    yield run
    if run.process.poll() is None:
        run.process.kill()
        run.process.wait(ENDS_WITHIN_S)
    if run.process.stdout is not None:
        run.process.stdout.close()


def traces(run: Run) -> tuple[list[str], list[str], list[str]]:
    """What a run could leave on the host besides processes: mounts, interfaces, temporary files.

    Only what a machine makes: a container engine beside the tests has mounts and interfaces that come and go.
    """
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    mounts = [
        point
        for point in points
        if point in ("/proc", "/run") or point.startswith((str(layout.STATE), str(run.temporary)))
    ]
    interfaces = [
        name for _, name in socket.if_nameindex() if re.fullmatch(rf"{network.BRIDGE}|veth\d{{1,6}}", name)
    ]
    return mounts, interfaces, os.listdir(run.temporary)


def eventually(check: Callable[[], object], within_s: float) -> object:
    """The last value of `check`, as soon as it is empty or the time is over."""
    deadline = time.monotonic() + within_s
    while (value := check()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return value


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_a_run_with_a_report_and_nothing_left(
    started: Run, moment: str, number: signal.Signals
) -> None:
    before = traces(started)
    started.until(moment)

    code, said = started.end(number)
    assert code == 130, said
    assert started.living() == []
    assert traces(started) == before
    report = json.loads((started.reports / "latest" / "report.json").read_text())
    assert report["outcome"] == "interrupted"


@pytest.mark.parametrize("moment", MOMENTS)
def test_sigkill_leaves_nothing(started: Run, moment: str) -> None:
    before = traces(started)
    started.until(moment)

    code, said = started.end(signal.SIGKILL)
    assert code == -signal.SIGKILL, said
    assert eventually(started.living, GONE_WITHIN_S) == []
    assert traces(started) == before
