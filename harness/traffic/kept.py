"""What is kept here of a worker's ledger while the worker lives, in case that it ends with it.

A worker serves its clients in whole, and of its slots, efforts and ended connections the recent ones; put together
they are the ledger up to the last time that it was asked. Knows nothing of how it is asked.
"""

from __future__ import annotations

import zlib

from harness.record.ledger import Connection, Effort, LoadLedger, Slot


class Kept:
    """One worker's recent ledgers, in the order in which they came; compressed, since they are rarely read."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def add(self, document: bytes) -> None:
        """Another one."""
        self._parts.append(zlib.compress(document, 1))

    def ledger(self) -> LoadLedger | None:
        """The ledger up to the last one that came, not stopped; None if none did."""
        slots: dict[tuple[str, str, float], Slot] = {}
        connections: dict[tuple[str, float], Connection] = {}
        efforts: dict[float, Effort] = {}
        last: LoadLedger | None = None
        for part in self._parts:
            last = LoadLedger.model_validate_json(zlib.decompress(part))
            slots |= {(slot.traffic_class, slot.pod, slot.at): slot for slot in last.slots}
            connections |= {(one.client, one.opened): one for one in last.connections}
            efforts |= {one.at: one for one in last.efforts}
        if last is None:
            return None
        whole = {
            "slots": list(slots.values()),
            "connections": list(connections.values()),
            "efforts": list(efforts.values()),
            "stopped": None,
        }
        return last.model_copy(update=whole)
