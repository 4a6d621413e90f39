"""Its hook returns before anything is handed over, and it begins 1 s late, as one that has to load its configuration.

The pod is Ready at once and the old container is emptied while nobody else serves. Without the delay the hand-over
would often be quicker than the reset. Seen by: all classes, from the reset on for a second.
"""

from __future__ import annotations

import asyncio

from mutation import Original, replaces
from sidecar.process import Process

LOADING_S = 1.0


@replaces(Process, "_arrive")
async def arrive(original: Original, process: Process) -> bool:
    """Comes to serve."""
    await asyncio.sleep(LOADING_S)
    came: bool = await original(process)
    return came
