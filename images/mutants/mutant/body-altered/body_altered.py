"""Every 500th answer, if it has a length, has one bit of its body wrong.

Seen by: every class that compares bodies, as corrupted.
"""

from __future__ import annotations

from mutation.answers import changes_one_in


@changes_one_in(500)
def alter(piece: bytes) -> bytes:
    """The answer is sound as HTTP."""
    middle = len(piece) // 2
    return piece[:middle] + bytes([piece[middle] ^ 1]) + piece[middle + 1 :]
