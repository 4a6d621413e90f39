"""An exchange in its middle, as it moves: an answer that takes long does not hold a hand-over up.

What is moved is a request that has been sent whole, and its answer, begun or awaited, with the connection that
it comes over. The bytes of the answer are in the kernel's hands; what is known about them is a few numbers.
Knows nothing of sockets.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sidecar.proxy.body import Chunks, Length, UntilClose
from sidecar.proxy.head import Request

# Exchanges that are short end by themselves; this long after a drain has begun the others are moved.
SOON_S = 0.5


class Standing(NamedTuple):
    """Where an exchange stands, for both of its connections."""

    request: Request  # what is still asked of it: `head`, `old`
    started: bool  # the answer's head has gone out
    closing: bool  # the client's connection ends with it
    rechunk: bool  # the answer ends with the application's connection: the client gets chunks
    reusable: bool  # the application's connection is kept
    answer: Length | Chunks | UntilClose | None  # what is to come of the answer's body; None: its head
    ahead: int  # bytes of a parcel's data that are the client's; the others are the answer's


def state_of(standing: Standing) -> dict[str, Any]:
    """As JSON."""
    return {
        "head": standing.request.head,
        "old": standing.request.old,
        "started": standing.started,
        "closing": standing.closing,
        "rechunk": standing.rechunk,
        "reusable": standing.reusable,
        "answer": None if standing.answer is None else standing.answer.state(),
        "ahead": standing.ahead,
    }


def standing_of(state: object) -> Standing:
    """From JSON; ValueError if it is none."""
    match state:
        case {
            "head": bool(head),
            "old": bool(old),
            "started": bool(started),
            "closing": bool(closing),
            "rechunk": bool(rechunk),
            "reusable": bool(reusable),
            "answer": answer,
            "ahead": int(ahead),
        } if ahead >= 0:
            request = Request(b"", 0, head, closing, old, False)
            return Standing(request, started, closing, rechunk, reusable, _answer_of(answer), ahead)
    raise ValueError(f"no exchange: {state!r:.200}")


def _answer_of(state: object) -> Length | Chunks | UntilClose | None:
    match state:
        case None:
            return None
        case {"length": int(length)} if length >= 0:
            return Length(length)
        case {"until": "close"}:
            return UntilClose()
        case {"left": int(left), "line": str(line), "trailer": int(trailer), "expect": str(expect)}:
            return Chunks.of(left, line.encode("latin-1"), trailer, expect)
    raise ValueError(f"no body: {state!r:.200}")
