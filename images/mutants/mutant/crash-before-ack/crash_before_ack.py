"""As a successor it dies in each start when it has the listeners, before it acknowledges them.

Seen by: nobody; the upgrade does not come to its end, and the predecessor serves on.
"""

from __future__ import annotations

import os

from mutation import Original, replaces
from sidecar.handover.successor import Received
from sidecar.process import Process


@replaces(Process, "warm_up")
async def warm_up(original: Original, process: Process, received: Received) -> None:
    """What would come before `prepared`."""
    os._exit(1)
