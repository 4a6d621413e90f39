"""A sidecar that dies at a frame: as a successor, killed before or after it sends the n-th of a kind.

A fault is a program of its own; the sidecar has no switch for it. `MORTAL` is `[frame, count, "before" or
"after"]`. Its last line, `dies`, says how many connections it had acknowledged.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from sidecar import process
from sidecar.handover import frames, successor
from sidecar.handover.channel import Channel


class MortalChannel(Channel):
    """Counts what is sent."""

    kind: int
    left: int
    before: bool
    acknowledged = 0

    def send(self, kind: int, body: dict[str, Any] | None = None, descriptors: Sequence[int] = ()) -> bool:
        """As the channel's; and dies if it is time."""
        due = kind == MortalChannel.kind
        MortalChannel.left -= due
        if due and not MortalChannel.left and MortalChannel.before:
            die()
        sent = super().send(kind, body, descriptors)
        if sent and kind == frames.MOVED and body is not None:
            MortalChannel.acknowledged = body["through"] + 1
        if due and not MortalChannel.left:
            die()
        return sent


def die() -> None:
    """As from outside, without a chance to end anything in order."""
    sys.stdout.write(json.dumps({"event": "dies", "acknowledged": MortalChannel.acknowledged}) + "\n")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> int:
    """The sidecar's command."""
    frame, count, when = json.loads(os.environ["MORTAL"])
    MortalChannel.kind = getattr(frames, frame)
    MortalChannel.left = count
    MortalChannel.before = when == "before"
    successor.Channel = MortalChannel  # type: ignore[attr-defined]
    return process.main()


if __name__ == "__main__":
    sys.exit(main())
