"""Log lines: one JSON object each, on standard output. Knows nothing of levels: whatever is written
matters."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Protocol


class Log(Protocol):
    """Writes one line."""

    def __call__(self, event: str, **fields: object) -> None:
        """What happened, and to what."""


def to_stdout(event: str, **fields: object) -> None:
    """One line with the time; flushed, since a pod's last lines matter most."""
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    sys.stdout.write(json.dumps({"at": at, "event": event, **fields}, default=str) + "\n")
    sys.stdout.flush()
