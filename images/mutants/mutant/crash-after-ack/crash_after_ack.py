"""As a successor it dies in each start when it has said that it accepts, before the commit reaches it.

Seen by: the clients of connections that had moved, and those that were accepted by then; the predecessor resumes.
"""

from __future__ import annotations

import os

from mutation import Original, replaces
from sidecar.handover import frames
from sidecar.process import Process


@replaces(Process, "start_accepting")
def start_accepting(original: Original, process: Process) -> None:
    """Says so itself: after this the commit might be there already when the acknowledgement has gone out."""
    original(process)
    assert process._taking is not None
    process._taking._channel.send(frames.ACCEPTING)
    os._exit(1)
