"""As a successor it dies when the predecessor's container is emptied: it cannot bear that its peer is gone.

Seen by: all classes, at the reset: every connection ends and new ones are refused until the container has restarted.
"""

from __future__ import annotations

import os

from mutation import Original, replaces
from sidecar.handover.machine import State
from sidecar.handover.successor import SuccessorSide


@replaces(SuccessorSide, "_lost")
def lost(original: Original, side: SuccessorSide) -> None:
    """The predecessor has ended; after the commit that is as it should be."""
    original(side)
    if side.machine.state is State.ALONE:
        os._exit(1)
