"""JSON lines on standard output, one per step of the process's life; flushed at once.

Knows nothing of requests.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any


class Log:
    """Writes lines that say who this process is; `role` changes as it lives. `heard` gets each line too."""

    def __init__(
        self, release: str, version: int | None, role: str, heard: Callable[[dict[str, Any]], None]
    ) -> None:
        self.release, self.version, self.role, self._heard = release, version, role, heard

    def __call__(self, event: str, **details: object) -> None:
        """One line. A closed standard output does not stop the proxy."""
        line = {
            "time": time.time(),
            "monotonic": time.monotonic(),
            "event": event,
            "release": self.release,
            "version": self.version,
            "role": self.role,
            **details,
        }
        self._heard(line)
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
