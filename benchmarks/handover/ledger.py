"""Who asked what and how it ended, on both sides, and the two reconciled. Knows nothing of sockets or clocks.

A client sends one request after another and numbers them from 1; its id on the wire is `<client>-<number>`.
So both ledgers are a few counters for each client, however long the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

# How a connection ended, if the client did not end it itself.
TOLD = "told"  # an answer said so (Connection: close), or a GOAWAY
CLOSED = "closed"  # FIN without a word
BROKEN = "broken"  # RST, or FIN in the middle of an answer
REFUSED = "refused"  # it never came up


class Client:
    """One connection's requests; a client of fresh connections counts all of them as one."""

    def __init__(self, name: str, traffic: str) -> None:
        self.name, self.traffic = name, traffic
        self.sent = 0
        self.answered = 0
        self.failures: list[tuple[int, str]] = []
        self.ended = ""  # one of the above; empty: by the client itself

    def begin(self) -> int:
        """The next request's number."""
        self.sent += 1
        return self.sent

    def answer(self) -> None:
        """One request was answered, rightly in all respects."""
        self.answered += 1

    def fail(self, number: int, kind: str) -> None:
        """A request was not, or not rightly, answered."""
        self.failures.append((number, kind))

    def end(self, how: str) -> None:
        """The connection ended, and not by the client."""
        self.ended = self.ended or how

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name,
            "traffic": self.traffic,
            "sent": self.sent,
            "answered": self.answered,
            "failures": self.failures,
            "ended": self.ended,
        }


class Executions:
    """What the application executed, by client."""

    def __init__(self) -> None:
        self._clients: dict[str, list[int]] = {}  # executed, highest number, duplicates, skipped
        self.unnamed = 0

    def record(self, request_id: str) -> None:
        """One request is executed."""
        name, _, digits = request_id.rpartition("-")
        if not name:
            self.unnamed += 1
            return
        number = int(digits)
        row = self._clients.setdefault(name, [0, 0, 0, 0])
        if number <= row[1]:
            row[2] += 1
            return
        row[3] += number - row[1] - 1
        row[0] += 1
        row[1] = number

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"clients": self._clients, "unnamed": self.unnamed}


class Sum(NamedTuple):
    """Both sides together."""

    clients: int
    sent: int
    answered: int
    failed: Counter[str]  # by kind
    closed: Counter[str]  # by how
    duplicated: int
    invented: int  # answered, but not executed
    by_traffic: dict[str, int]  # answered

    @property
    def clean(self) -> bool:
        """A client could not tell that anything happened."""
        return not (self.failed or self.closed or self.duplicated or self.invented) and self.answered > 0


def reconcile(clients: Iterable[Mapping[str, Any]], executions: Mapping[str, Any] | None) -> Sum:
    """Holds the clients' documents against the application's; None if it only carries what they send."""
    executed: Mapping[str, list[int]] = executions["clients"] if executions is not None else {}
    failed: Counter[str] = Counter()
    closed: Counter[str] = Counter()
    by_traffic: Counter[str] = Counter()
    count = sent = answered = invented = 0
    for client in clients:
        count += 1
        sent += client["sent"]
        answered += client["answered"]
        by_traffic[client["traffic"]] += client["answered"]
        failed.update(kind for _, kind in client["failures"])
        unaccounted = client["sent"] - client["answered"] - len(client["failures"])
        if unaccounted:
            failed["unaccounted"] += unaccounted
        if client["ended"]:
            closed[client["ended"]] += 1
        if executions is not None:
            invented += max(0, client["answered"] - executed.get(client["name"], [0])[0])
    duplicated = sum(row[2] for row in executed.values())
    return Sum(count, sent, answered, failed, closed, duplicated, invented, dict(by_traffic))
