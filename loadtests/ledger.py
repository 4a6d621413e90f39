"""The load generator's ledger: requests by client and sequence, connections, counts in slots of time.

Serialises to plain JSON. A client's requests are a counter and a list of exceptions, so that ten million cost
kilobytes, and how long they took a few bytes each (`series.py`). Times are Unix seconds. Knows nothing of HTTP, sockets
or Locust.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from math import inf

from loadtests.effort import Effort, behind_s
from loadtests.series import Series
from loadtests.shapes import Arrivals

LATE_S = 0.05
CLOCK_OFFSET_S = (
    time.time() - time.monotonic()
)  # one clock for all: a step of the wall clock must not bend latencies


def wall(monotonic_s: float) -> float:
    """Unix seconds of a monotonic time."""
    return monotonic_s + CLOCK_OFFSET_S


class Connection:
    """The life of one connection; `how` stays `open` until something ends it."""

    __slots__ = ("ended", "how", "opened", "requests", "told_at")

    def __init__(self, opened: float) -> None:
        self.opened = opened
        self.ended: float | None = None
        self.told_at: float | None = None
        self.how = "open"
        self.requests = 0

    def end(self, how: str, at: float) -> None:
        """It ended: told, closed, broken or client, as the harness's record of connections says."""
        self.how, self.ended = how, at
        if how == "told":
            self.told_at = at


@dataclass(slots=True)
class Sockets:
    """What became of all connections of one class to one pod."""

    opened: int = 0
    reused: int = 0
    told: int = 0
    goaway: int = 0
    closed: int = 0
    broken: int = 0

    def ended(self, how: str, goaway: bool) -> None:
        """A connection ended; one that the client closed is of no interest."""
        if how != "client":
            setattr(self, how, getattr(self, how) + 1)
        self.goaway += goaway and how == "told"


@dataclass(frozen=True)
class Counters:
    """The counts of one class towards one pod."""

    series: Series = field(default_factory=Series)
    sockets: Sockets = field(default_factory=Sockets)


Ended = tuple[int, float, float, str, str | None]
"""A request: sequence, intended time, end, `answered` or the kind of its failure, version."""

NEIGHBOURHOOD = 16  # requests that are remembered for their neighbours' sake: more than are sent at once


class Client:
    """One sender. Every request is begun, then answered or failed; if neither, the end cut it.

    Requests count where they are executed, connections where they lead: for a client whose requests are passed on,
    that is another pod.
    """

    def __init__(
        self, name: str, traffic_class: str, pod: str, via: str | None, counters: Counters, entry: Counters
    ) -> None:
        """`counters` are those of `pod`, `entry` of the pod that its connections lead to."""
        self.name, self.traffic_class, self.pod, self.via = name, traffic_class, pod, via
        self.sent = 0
        self.failures: dict[int, dict[str, object]] = {}
        self.connections: list[Connection] = []
        self._series, self._entry = counters.series, entry
        self._pending: dict[int, float] = {}
        self._recent: dict[int, Ended] = {}

    # -- requests ------------------------------------------------------------------------------------------

    def begin(self, intended: float) -> int:
        """A request is due now or has just been sent; returns its sequence."""
        self.sent += 1
        self._pending[self.sent] = intended
        self._series.count("sent", intended)
        return self.sent

    def answered(self, sequence: int, ended: float, version: str | None) -> float:
        """A request got an answer that is right in all respects; returns its intended time."""
        intended = self._pending.pop(sequence)
        self._series.answered(intended, ended, version)
        self._remember((sequence, intended, ended, "answered", version))
        return intended

    def failed(self, sequence: int, ended: float, kind: str, detail: str, served_by: str | None) -> float:
        """A request did not end well; returns its intended time."""
        intended = self._pending.pop(sequence)
        self._series.count("failed", intended)
        self._series.count("ended", ended)
        self.failures[sequence] = {
            "sequence": sequence,
            "at": intended,
            "ended": ended,
            "kind": kind,
            "detail": detail,
            "served_by": served_by,
            "previous": _neighbour(self._recent.get(sequence - 1)),
            "following": _neighbour(self._recent.get(sequence + 1)),
        }
        self._remember((sequence, intended, ended, kind, served_by))
        return intended

    def settle(self, at: float) -> None:
        """The run is over: a request that is still pending was not answered."""
        for sequence in list(self._pending):
            self.failed(sequence, at, "timeout", "no answer when the run ended", None)

    # -- connections ---------------------------------------------------------------------------------------

    def open(self, at: float, *, listed: bool) -> Connection:
        """A connection is up; one that is not `listed` is only counted."""
        connection = Connection(at)
        if listed:
            self.connections.append(connection)
        self._entry.sockets.opened += 1
        self._entry.series.count("opened", at)
        return connection

    def carry(self, connection: Connection, requests: int) -> None:
        """So many requests go out on it."""
        self._entry.sockets.reused += requests if connection.requests else requests - 1
        connection.requests += requests

    def end(self, connection: Connection, how: str, at: float, *, goaway: bool = False) -> None:
        """It ended: told (by GOAWAY or otherwise), closed, broken or client."""
        connection.end(how, at)
        self._entry.sockets.ended(how, goaway)
        if how != "client":
            self._entry.series.count("cut", at)

    # ------------------------------------------------------------------------------------------------------

    def document(self) -> dict[str, object]:
        """The client as plain JSON."""
        return {
            "name": self.name,
            "class": self.traffic_class,
            "pod": self.pod,
            "via": self.via,
            "sent": [(1, self.sent)] if self.sent else [],
            "answered": self._answered(),
            "failures": [self.failures[sequence] for sequence in sorted(self.failures)],
        }

    def _answered(self) -> list[tuple[int, int]]:
        """All that were sent, without those that failed or have not ended."""
        ranges, start = [], 1
        for sequence in sorted((*self.failures, *self._pending, self.sent + 1)):
            if start < sequence:
                ranges.append((start, sequence - 1))
            start = sequence + 1
        return ranges

    def _remember(self, ended: Ended) -> None:
        """Tells the failures on both sides of a request of their neighbour."""
        sequence = ended[0]
        self._recent[sequence] = ended
        self._recent.pop(sequence - NEIGHBOURHOOD, None)
        if self.failures:
            if before := self.failures.get(sequence - 1):
                before["following"] = _neighbour(ended)
            if after := self.failures.get(sequence + 1):
                after["previous"] = _neighbour(ended)


def _neighbour(ended: Ended | None) -> dict[str, object] | None:
    return dict(zip(("sequence", "at", "ended", "how", "served_by"), ended, strict=True)) if ended else None


class Punctuality:
    """How well the generator keeps its schedule. While a client waits for an answer, it is not late.

    `beat` is called by a task of its own every BEAT_S: when the beats fall behind, everybody is late.
    """

    BEAT_S = 0.02  # well below LATE_S, and no load

    def __init__(self) -> None:
        self.requests = 0
        self.late = 0
        self.max_lag_s = 0.0
        self._next_beat: float | None = None
        self._beat_lag_s = 0.0

    def beat(self, now: float) -> None:
        """The task of the beats runs; it promises to run again in BEAT_S. All times are monotonic."""
        if self._next_beat is not None:
            self._beat_lag_s = max(now - self._next_beat, 0.0)
        self._next_beat = now + self.BEAT_S

    def sent(self, ready: float, now: float) -> None:
        """A request is sent `now` that could have been sent when it was due and its client was free."""
        overdue = now - self._next_beat if self._next_beat is not None else 0.0
        lag = max(now - ready, self._beat_lag_s, overdue)
        self.requests += 1
        self.late += lag > LATE_S
        self.max_lag_s = max(self.max_lag_s, lag)


class Ledger:
    """All that one worker saw in one run."""

    def __init__(self, worker: str, now: float) -> None:
        """Starts at `now` (Unix seconds)."""
        self.worker, self.started = worker, now
        self.stopped: float | None = None
        self.punctuality = Punctuality()
        self.arrivals: list[Arrivals] = []
        """Of each client."""
        self.efforts: list[Effort] = []
        self._closed: float | None = None
        self._clients: list[Client] = []
        self._counters: dict[tuple[str, str], Counters] = {}
        self._cpu_at_start_s = time.process_time()
        self._cpu_s = 0.0

    def client(self, name: str, traffic_class: str, pod: str, via: str | None = None) -> Client:
        """A new client, whose requests are executed at `pod`; `via` is the pod that passes them on, if one does."""
        entry = self._counted(traffic_class, via or pod)
        client = Client(name, traffic_class, pod, via, self._counted(traffic_class, pod), entry)
        self._clients.append(client)
        return client

    def close(self, now: float) -> None:
        """No request is begun from now on."""
        self._closed = self._closed or now

    def stop(self, now: float) -> None:
        """The run is over; nothing is recorded from now on."""
        for client in self._clients:
            client.settle(now)
        self._cpu_s = self._cpu_so_far_s()
        self.stopped = now

    def progress(self) -> dict[str, object]:
        """Totals so far."""
        return {
            "sent": sum(client.sent for client in self._clients),
            "failed": sum(len(client.failures) for client in self._clients),
            "running": self.stopped is None,
            "behind_s": behind_s(self.efforts),
        }

    def document(self, since: float = 0.0) -> dict[str, object]:
        """The ledger as plain JSON; complete once it has been stopped.

        `since`, in Unix seconds, leaves out slots and efforts before it, and the connections that had ended by then.
        """
        return {
            "worker": self.worker,
            "started": self.started,
            "stopped": self.stopped,
            "clients": [client.document() for client in self._clients],
            "connections": [
                _connection(client, connection)
                for client in self._clients
                for connection in client.connections
                if (connection.ended or inf) >= since
            ],
            "series": [
                {"class": traffic_class, "pod": pod, **series.document()}
                for (traffic_class, pod), counters in self._counters.items()
                if len(series := counters.series.since(since))
            ],
            "efforts": [asdict(replace(one, at=at)) for one in self.efforts if (at := wall(one.at)) >= since],
            "sockets": [
                {"class": traffic_class, "pod": pod, **asdict(counters.sockets)}
                for (traffic_class, pod), counters in self._counters.items()
            ],
            "saturation": self._saturation(),
        }

    def _counted(self, traffic_class: str, pod: str) -> Counters:
        return self._counters.setdefault((traffic_class, pod), Counters())

    def _saturation(self) -> dict[str, float]:
        kept, now = self.punctuality, wall(time.monotonic())
        wall_s = (self.stopped or now) - self.started
        sending_s = (self._closed or now) - self.started
        asked = sum(one.due_by(self.started + sending_s - CLOCK_OFFSET_S) for one in self.arrivals)
        sent = sum(one.sent for one in self.arrivals)
        return {
            "late_fraction": kept.late / kept.requests if kept.requests else 0.0,
            "max_lag_ms": kept.max_lag_s * 1000,
            "cpu_fraction": self._cpu_so_far_s() / wall_s if wall_s > 0 else 0.0,
            "asked": asked / sending_s if sending_s > 0 else 0.0,
            "reached": sent / sending_s if sending_s > 0 else 0.0,
        }

    def _cpu_so_far_s(self) -> float:
        return self._cpu_s if self.stopped else time.process_time() - self._cpu_at_start_s


def _connection(client: Client, connection: Connection) -> dict[str, object]:
    return {
        "client": client.name,
        "class": client.traffic_class,
        "pod": client.via or client.pod,
        "opened": connection.opened,
        "ended": connection.ended,
        "how": connection.how,
        "requests": connection.requests,
        "told_at": connection.told_at,
    }
