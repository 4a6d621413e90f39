"""As a successor it does nothing for 300 ms right after it has begun to accept.

Seen by: latency in the migration, of all classes; nothing is lost.
"""

from __future__ import annotations

import time

from mutation import Original, replaces
from sidecar.process import Process

STALL_S = 0.3


@replaces(Process, "start_accepting")
def start_accepting(original: Original, process: Process) -> None:
    """The predecessor is told first: it accepts no more meanwhile."""
    original(process)
    process._loop.call_soon(time.sleep, STALL_S)
