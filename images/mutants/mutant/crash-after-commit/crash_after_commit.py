"""As a successor it dies in each start right after the commit, with the connections that have moved.

Seen by: the clients of those connections; the predecessor resumes.
"""

from __future__ import annotations

import os

from mutation import Original, replaces
from sidecar.process import Process


@replaces(Process, "working")
def working(original: Original, process: Process) -> None:
    """The commit has come."""
    original(process)
    os._exit(1)
