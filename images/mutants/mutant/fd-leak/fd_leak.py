"""As a successor it keeps 50 duplicates of a listener that it was handed.

Seen by: no client; by the number of the process's descriptors after a hand-over.
"""

from __future__ import annotations

import os

from mutation import Original, replaces
from sidecar.process import Process

LEAKED = 50


@replaces(Process, "working")
def working(original: Original, process: Process) -> None:
    """The commit has come."""
    original(process)
    _, descriptor = process.offered()[0]
    for _ in range(LEAKED):
        os.dup(descriptor)
