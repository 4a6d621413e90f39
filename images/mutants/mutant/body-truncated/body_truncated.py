"""Every 500th answer, if it has a length, lacks its body's last byte, and its Content-Length agrees.

Seen by: every class that compares bodies, as corrupted.
"""

from __future__ import annotations

from mutation.answers import changes_one_in


@changes_one_in(500, longer=-1)
def shorten(piece: bytes) -> bytes:
    """The answer is sound as HTTP."""
    return piece[:-1]
