"""The load generator's ledger: requests by client and sequence, connections, counts in slots of time.

Serialises to plain JSON. A client's requests are a counter and a list of exceptions, so that ten million cost
kilobytes. Times are Unix seconds. Knows nothing of HTTP, sockets or Locust.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf

from loadtests.shapes import Arrivals

SLOT_S = 0.1
LATE_S = 0.05
CLOCK_OFFSET_S = (
    time.time() - time.monotonic()
)  # one clock for all: a step of the wall clock must not bend latencies


def wall(monotonic_s: float) -> float:
    """Unix seconds of a monotonic time."""
    return monotonic_s + CLOCK_OFFSET_S


@dataclass(slots=True)
class Slot:
    """Counts of one class towards one pod in one slot."""

    sent: int = 0
    answered: int = 0
    failed: int = 0
    ended: int = 0
    versions: dict[str, int] = field(default_factory=dict)
    latency_us: dict[int, int] = field(default_factory=dict)


class Slots:
    """The slots of one class towards one pod, by number since the epoch; empty ones do not exist."""

    def __init__(self) -> None:
        self.by_number: dict[int, Slot] = {}
        self._last = 0

    def at(self, when: float) -> Slot:
        """The slot of a Unix time."""
        number = int(when / SLOT_S)
        slot = self.by_number.get(number)
        if slot is None:
            slot = self.by_number[number] = Slot()
            self._last = max(self._last, number)
        return slot

    def since(self, when: float) -> Iterator[tuple[int, Slot]]:
        """The slots from a Unix time on, in order."""
        numbers = range(int(when / SLOT_S), self._last + 1) if when else sorted(self.by_number)
        return ((number, self.by_number[number]) for number in numbers if number in self.by_number)


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


class Client:
    """One sequential sender. Every request is begun, then answered or failed; if neither, the end cut it."""

    def __init__(self, name: str, traffic_class: str, pod: str, slots: Slots) -> None:
        self.name, self.traffic_class, self.pod = name, traffic_class, pod
        self.sent = 0
        self.failures: list[dict[str, object]] = []
        self.connections: list[Connection] = []
        self._slots = slots
        self._pending_since: float | None = None

    def begin(self, intended: float) -> int:
        """A request is due now or has just been sent; returns its sequence."""
        self.sent += 1
        self._pending_since = intended
        self._slots.at(intended).sent += 1
        return self.sent

    def answered(self, intended: float, ended: float, version: str | None) -> None:
        """The request that was begun last got an answer that is right in all respects."""
        self._pending_since = None
        slot, end_slot = self._slots.at(intended), self._slots.at(ended)
        slot.answered += 1
        latency = three_digits(int((ended - intended) * 1e6))
        slot.latency_us[latency] = slot.latency_us.get(latency, 0) + 1
        end_slot.ended += 1
        if version is not None:
            end_slot.versions[version] = end_slot.versions.get(version, 0) + 1

    def failed(self, intended: float, ended: float, kind: str, detail: str, served_by: str | None) -> None:
        """The request that was begun last did not end well."""
        self._pending_since = None
        self._slots.at(intended).failed += 1
        self._slots.at(ended).ended += 1
        self.failures.append(
            {
                "sequence": self.sent,
                "at": intended,
                "ended": ended,
                "kind": kind,
                "detail": detail,
                "served_by": served_by,
            }
        )

    def settle(self, at: float) -> None:
        """The run is over: a request that is still pending was not answered."""
        if self._pending_since is not None:
            self.failed(self._pending_since, at, "timeout", "no answer when the run ended", None)

    def document(self) -> dict[str, object]:
        """The client as plain JSON."""
        return {
            "name": self.name,
            "class": self.traffic_class,
            "pod": self.pod,
            "sent": [(1, self.sent)] if self.sent else [],
            "answered": self._answered(),
            "failures": self.failures,
        }

    def _answered(self) -> list[tuple[int, int]]:
        """All that ended, without those that failed. Failures are in the order of their sequence."""
        ranges, start = [], 1
        ended = self.sent if self._pending_since is None else self.sent - 1
        for failure in self.failures:
            sequence = int(str(failure["sequence"]))
            if start < sequence:
                ranges.append((start, sequence - 1))
            start = sequence + 1
        if start <= ended:
            ranges.append((start, ended))
        return ranges


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
        self._closed: float | None = None
        self._clients: list[Client] = []
        self._slots: dict[tuple[str, str], Slots] = {}
        self._cpu_at_start_s = time.process_time()
        self._cpu_s = 0.0

    def client(self, name: str, traffic_class: str, pod: str) -> Client:
        """A new client."""
        client = Client(name, traffic_class, pod, self._slots.setdefault((traffic_class, pod), Slots()))
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
        }

    def document(self, since: float = 0.0) -> dict[str, object]:
        """The ledger as plain JSON; complete once it has been stopped.

        `since`, in Unix seconds, leaves out the slots before it and the connections that had ended by then.
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
            "slots": [
                _slot(traffic_class, pod, number, slot)
                for (traffic_class, pod), slots in self._slots.items()
                for number, slot in slots.since(since)
            ],
            "saturation": self._saturation(),
        }

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


def three_digits(number: int) -> int:
    """A number rounded up to three significant digits: few distinct values, at most 1 % too high."""
    unit = 1
    while number > 1000 * unit:
        unit *= 10
    return -(-number // unit) * unit


def _connection(client: Client, connection: Connection) -> dict[str, object]:
    return {
        "client": client.name,
        "class": client.traffic_class,
        "pod": client.pod,
        "opened": connection.opened,
        "ended": connection.ended,
        "how": connection.how,
        "requests": connection.requests,
        "told_at": connection.told_at,
    }


def _slot(traffic_class: str, pod: str, number: int, slot: Slot) -> dict[str, object]:
    return {
        "at": round(number * SLOT_S, 1),
        "class": traffic_class,
        "pod": pod,
        "sent": slot.sent,
        "answered": slot.answered,
        "failed": slot.failed,
        "ended": slot.ended,
        "versions": slot.versions,
        "latency_us": slot.latency_us,
    }
