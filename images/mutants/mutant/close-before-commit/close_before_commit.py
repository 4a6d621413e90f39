"""As a predecessor it closes its listeners as soon as it is asked, and has new ones to hand over 0.2 s later.

Until then nobody listens. Seen by: new-connection, whose connections are refused.
"""

from __future__ import annotations

from mutation import Original, replaces
from sidecar.handover.channel import Channel
from sidecar.handover.frames import Frame
from sidecar.process import Process

GAP_S = 0.2


@replaces(Process, "_requested")
def requested(original: Original, process: Process, channel: Channel, frame: Frame) -> None:
    """A successor asks: the rest of the hand-over is sound."""

    def go_on() -> None:
        process._listeners.bind_missing()
        process._listeners.start()
        original(process, channel, frame)

    if process._phase == "working" and process._giving is None:
        process._listeners.close()
        process._loop.call_later(GAP_S, go_on)
    else:
        original(process, channel, frame)
