"""How far the pods' clocks are from this machine's, measured as NTP does: a question, and when it went and came.

The pod's clock is read somewhere between the two, so the middle is wrong by half of the round trip at most; the
shortest of several round trips says it best. Knows nothing of what the clocks are needed for.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from harness.record.report import ClockOffset
from harness.traffic.proxy import PodPort, Unreachable

ROUNDS = 8
CALL_S = 2.0


def measure(ports: Iterable[PodPort], now: Callable[[], float] = time.time) -> list[ClockOffset]:
    """One for each pod whose port serves `/clock`; a pod that never answers has none."""
    found = (_measure(port, now) for port in ports)
    return [offset for offset in found if offset is not None]


def _measure(port: PodPort, now: Callable[[], float]) -> ClockOffset | None:
    best: tuple[float, float] | None = None
    for _ in range(ROUNDS):
        with suppress(Unreachable, ValueError, KeyError):
            sent = now()
            pods = float(json.loads(port.call("GET", "/clock", CALL_S))["now"])
            received = now()
            one = (received - sent) / 2, pods - (sent + received) / 2
            best = min(best or one, one)
    if best is None:
        return None
    uncertainty, offset = best
    return ClockOffset(pod=port.pod, offset_ms=offset * 1000, uncertainty_ms=uncertainty * 1000)
