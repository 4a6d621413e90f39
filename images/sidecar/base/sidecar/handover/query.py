"""Asks this container's own process how it stands; blocking, for the hook and the probe.

Imports little: both start often.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from sidecar.errors import PeerHandoverError
from sidecar.handover import directory, frames

_AGAIN_S = 0.01  # between two looks for a process that has not started yet


def states(path: str, deadline: float) -> Iterator[dict[str, Any]]:
    """Every state of the process at a path, the present one first, until it ends or the deadline (monotonic).

    Waits for the process as long as nobody listens: a file alone may be an earlier process's.
    """
    sock = None
    while sock is None:
        sock = directory.connect(path, within_s=0.2)
        if sock is None:
            if time.monotonic() >= deadline:
                return
            time.sleep(_AGAIN_S)
    with sock:
        try:
            sock.send(frames.encode(frames.WATCH))
            while (left := deadline - time.monotonic()) > 0:
                sock.settimeout(left)
                record = sock.recv(frames.MAX_FRAME)
                if not record:
                    return
                frame = frames.decode(record)
                if frame.kind == frames.STATE:
                    yield frame.body
        except (OSError, PeerHandoverError):  # it ended, is silent, or is something else
            return
