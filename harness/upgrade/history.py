"""Upgrades in the order in which they began, each packed: a long run makes thousands, and pods say a lot in each.

Nothing is left out, since which of them have failures is known only when the ledgers are read. Knows nothing of how
upgrades come about.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import overload

from harness.record.upgrade import Upgrade


class History(Sequence[Upgrade]):
    """A list of upgrades that makes its items anew for each who reads them."""

    def __init__(self) -> None:
        self._packed: list[bytes] = []

    def __len__(self) -> int:
        return len(self._packed)

    @overload
    def __getitem__(self, index: int) -> Upgrade: ...
    @overload
    def __getitem__(self, index: slice) -> list[Upgrade]: ...
    def __getitem__(self, index: int | slice) -> Upgrade | list[Upgrade]:
        if isinstance(index, slice):
            return [_unpacked(data) for data in self._packed[index]]
        return _unpacked(self._packed[index])

    def append(self, upgrade: Upgrade) -> None:
        """Another one has begun."""
        self._packed.append(_packed(upgrade))

    def amend(self, upgrade: Upgrade) -> None:
        """More is known of the last one."""
        self._packed[-1] = _packed(upgrade)


def _packed(upgrade: Upgrade) -> bytes:
    """Times stay numbers: as text they would lose what lies below a microsecond."""
    return zlib.compress(json.dumps(upgrade.model_dump(exclude_defaults=True)).encode())


def _unpacked(data: bytes) -> Upgrade:
    return Upgrade.model_validate(json.loads(zlib.decompress(data)))
