"""What is kept here of a worker's ledger while the worker lives, in case that it ends with it.

A worker serves its clients in whole, and of its series, efforts and ended connections the recent ones; put together
they are the ledger up to the last time that it was asked. Knows nothing of how it is asked.
"""

from __future__ import annotations

import zlib

from harness.record.columns import zeros
from harness.record.ledger import Connection, Effort, LoadLedger
from harness.record.series import COUNTS, Series


class Kept:
    """One worker's recent ledgers, in the order in which they came; compressed, since they are rarely read."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def add(self, document: bytes) -> None:
        """Another one."""
        self._parts.append(zlib.compress(document, 1))

    def ledger(self) -> LoadLedger | None:
        """The ledger up to the last one that came, not stopped; None if none did."""
        series: dict[tuple[str, str], Series] = {}
        connections: dict[tuple[str, float], Connection] = {}
        efforts: dict[float, Effort] = {}
        last: LoadLedger | None = None
        for part in self._parts:
            last = LoadLedger.model_validate_json(zlib.decompress(part))
            for one in last.series:
                key = one.traffic_class, one.pod
                series[key] = _continued(series[key], one) if key in series else one
            connections |= {(one.client, one.opened): one for one in last.connections}
            efforts |= {one.at: one for one in last.efforts}
        if last is None:
            return None
        whole = {
            "series": list(series.values()),
            "connections": list(connections.values()),
            "efforts": list(efforts.values()),
            "stopped": None,
        }
        return last.model_copy(update=whole)


def _continued(series: Series, later: Series) -> Series:
    """The series with another one put into the place of its end. Changes it: there are hundreds to come."""
    kept = later.first - series.first
    if kept <= 0:
        return later
    del series.latencies[sum(series.answered[:kept]) :]
    series.latencies.extend(later.latencies)
    columns = [(getattr(series, name), getattr(later, name)) for name in COUNTS]
    columns += [
        (series.versions.setdefault(version, zeros(0)), later.versions.get(version, zeros(later.length)))
        for version in {*series.versions, *later.versions}
    ]
    for column, rest in columns:
        del column[kept:]
        column.extend(zeros(kept - len(column)))
        column.extend(rest)
    return series
