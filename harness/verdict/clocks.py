"""Brings what load generators recorded to the harness's clock, by which phases are told. Knows nothing of phases."""

from __future__ import annotations

from collections.abc import Sequence

from harness.record.ledger import Client, ClientFailure, Connection, LoadLedger, Neighbour
from harness.record.report import ClockOffset


class Clocks:
    """Offsets by pod; a worker is named as its pod is. A clock that nobody measured is taken to be right."""

    def __init__(self, offsets: Sequence[ClockOffset]) -> None:
        self._offsets = {offset.pod: offset for offset in offsets}

    def uncertainty_s(self, load: LoadLedger) -> float:
        """How wrong the corrected times of a ledger may still be."""
        offset = self._offsets.get(load.worker)
        return offset.uncertainty_ms / 1000 if offset else 0.0

    def corrected(self, load: LoadLedger) -> LoadLedger:
        """The ledger by the harness's clock."""
        offset = self._offsets.get(load.worker)
        if offset is None or not offset.offset_ms:
            return load
        ahead_s = offset.offset_ms / 1000
        back = _Back(ahead_s)
        return load.model_copy(
            update={
                "started": back.time(load.started),
                "stopped": back.time_or_none(load.stopped),
                "clients": [back.client(client) for client in load.clients],
                "connections": [back.connection(connection) for connection in load.connections],
                "series": [one.model_copy(update={"ahead_s": ahead_s}) for one in load.series],
                "efforts": [one.model_copy(update={"at": back.time(one.at)}) for one in load.efforts],
            }
        )


class _Back:
    """Sets every time back by so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def time(self, at: float) -> float:
        return at - self._seconds

    def time_or_none(self, at: float | None) -> float | None:
        return None if at is None else self.time(at)

    def client(self, client: Client) -> Client:
        return client.model_copy(update={"failures": [self._failure(failure) for failure in client.failures]})

    def connection(self, connection: Connection) -> Connection:
        times = {
            "opened": self.time(connection.opened),
            "ended": self.time_or_none(connection.ended),
            "told_at": self.time_or_none(connection.told_at),
        }
        return connection.model_copy(update=times)

    def _failure(self, failure: ClientFailure) -> ClientFailure:
        beside = {
            "previous": self._neighbour(failure.previous),
            "following": self._neighbour(failure.following),
        }
        times = {"at": self.time(failure.at), "ended": self.time(failure.ended)}
        return failure.model_copy(update={**times, **beside})

    def _neighbour(self, neighbour: Neighbour | None) -> Neighbour | None:
        if neighbour is None:
            return None
        times = {"at": self.time(neighbour.at), "ended": self.time(neighbour.ended)}
        return neighbour.model_copy(update=times)
