"""The load: what wrk is asked to do, and what it says. Knows nothing of proxies or processes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from benchmarks import BenchError

CONNECTIONS = 64
_SCRIPT = Path(__file__).with_name("wrk.lua")
_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


class Load(NamedTuple):
    """What wrk saw in one run."""

    requests: int
    per_second: float
    p99_ms: float


class LoadError(BenchError):
    """A run that says nothing about speed: requests failed, or wrk did."""


def command(port: int, path: str, seconds: int) -> list[str]:
    """64 keep-alive connections in one thread; every request has an id of its own."""
    return [
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds}s",
        "--latency",
        "-s",
        str(_SCRIPT),
        f"http://127.0.0.1:{port}{path}",
    ]


def parse(output: str) -> Load:
    """What `wrk --latency` printed; LoadError if a single request failed."""
    for trouble in ("Socket errors", "Non-2xx"):
        found = re.search(rf"^\s*{trouble}.*$", output, re.MULTILINE)
        if found is not None:
            raise LoadError(found[0].strip())
    requests = re.search(r"^\s*(\d+) requests in ", output, re.MULTILINE)
    per_second = re.search(r"^Requests/sec:\s+([\d.]+)$", output, re.MULTILINE)
    p99 = re.search(r"^\s*99%\s+([\d.]+)(us|ms|s)$", output, re.MULTILINE)
    if requests is None or per_second is None or p99 is None or not int(requests[1]):
        raise LoadError(f"wrk said nothing useful: {output.strip()!r:.300}")
    return Load(int(requests[1]), float(per_second[1]), float(p99[1]) * _MILLISECONDS[p99[2]])
