"""Servers are up when they are said to be, and gone afterwards."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import pytest

from benchmarks import BenchError
from benchmarks.running import cpu_seconds, free_port, running

pytestmark = pytest.mark.integration


def test_a_server_is_gone_however_its_use_ends(tmp_path: Path) -> None:
    port = free_port()
    serve = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    seen = []
    with (
        contextlib.suppress(KeyboardInterrupt),
        running(serve, port, min(os.sched_getaffinity(0)), tmp_path / "output", {}) as pid,
    ):
        seen.append(pid)
        assert cpu_seconds(pid) >= 0
        raise KeyboardInterrupt
    assert not Path(f"/proc/{seen[0]}").exists()


def test_a_server_that_does_not_come_up_is_quoted(tmp_path: Path) -> None:
    fails = ["/bin/sh", "-c", "echo no such option >&2; exit 1"]
    with (
        pytest.raises(BenchError, match="no such option"),
        running(fails, free_port(), min(os.sched_getaffinity(0)), tmp_path / "output", {}),
    ):
        pass
