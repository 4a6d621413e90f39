"""Puts the clients' ledgers and the applications' ledgers side by side: one fate for each request sent.

Every request has exactly one fate, so that `sent == answered + failed` always holds. Where several would fit,
the first of these wins:

    duplicated           the application executed it twice or more, whatever its client saw, also if answered
    corrupted            its client got a wrong id, hash or length
    errors               its client got a status that the application did not send, or no HTTP
    executed_unanswered  no right answer, executed once; also a request in flight when the traffic stopped
    lost                 no right answer, never executed; also a request in flight when the traffic stopped
    answered             a right answer, and not executed twice

So a request that was executed twice and answered well counts as duplicated and not as answered. Where the
application's ledger is missing, nobody can tell `executed_unanswered` from `lost`: it is called lost and the
detail says so. Knows nothing of phases, gates and outcomes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from harness.record.ledger import (
    SERVICE,
    AppLedger,
    Client,
    ClientFailure,
    FailureKind,
    LoadLedger,
    Neighbour,
    Ranges,
)
from harness.record.report import Traffic
from harness.verdict import ranges

FailedFate = Literal["lost", "executed_unanswered", "errors", "corrupted", "duplicated"]

SEEN_BY_CLIENT: dict[FailureKind, FailedFate | None] = {
    "refused": None,
    "reset": None,
    "eof": None,
    "timeout": None,
    "status": "errors",
    "protocol": "errors",
    "corrupted": "corrupted",
}
"""What a client's failure is called; None: no answer, so the application's ledger decides."""


@dataclass(frozen=True)
class Failed:
    """One request that failed. `seen` is what its client saw; None: nothing wrong, or nothing yet."""

    worker: LoadLedger
    client: Client
    sequence: int
    at: float
    ended: float
    fate: FailedFate
    detail: str
    seen: FailureKind | None = None
    in_flight: bool = False
    served_by: str | None = None
    previous: Neighbour | None = None
    following: Neighbour | None = None


@dataclass
class Reconciled:
    """The counts per class, every failed request, and what makes the ledgers doubtful."""

    classes: dict[str, Traffic] = field(default_factory=dict)
    failed: list[Failed] = field(default_factory=list)
    unexpected: int = 0
    """Requests that an application executed and no client of its pod sent."""
    unrecorded: int = 0
    """Right answers to requests that the application says it never executed."""
    contradictions: int = 0
    """Requests called both answered and failed, or ended but never sent; clients named twice."""
    missing: list[str] = field(default_factory=list)
    """Pods without an application ledger."""

    def traffic(self, traffic_class: str) -> Traffic:
        """The counts of a class, zero at first."""
        return self.classes.setdefault(traffic_class, Traffic())


def reconcile(loads: Sequence[LoadLedger], apps: Mapping[str, AppLedger | None]) -> Reconciled:
    """One fate for each request, and the sums."""
    result = Reconciled()
    clients = [(load, client) for load in loads for client in load.clients]
    pods = {*apps, *(client.pod for _, client in clients if client.pod != SERVICE)}
    to_service = any(client.pod == SERVICE for _, client in clients)
    anywhere = _together(apps) if to_service else None
    result.missing = sorted(pod for pod in pods if apps.get(pod) is None)
    result.contradictions = len(clients) - len({client.name for _, client in clients})
    sent_to: dict[tuple[str, str], Ranges] = {}
    for load, client in clients:
        sent_to[client.pod, client.name] = _sent(client)
        _reconcile_client(
            _View.of(load, client, anywhere if client.pod == SERVICE else apps.get(client.pod)), result
        )
    for traffic_class, closed in _closed(loads).items():
        result.traffic(traffic_class).closed_connections = closed
    result.unexpected = sum(
        ranges.count(
            ranges.minus(_executed(app, name), sent_to.get((pod, name)) or sent_to.get((SERVICE, name), []))
        )
        for pod, app in apps.items()
        if app is not None
        for name in {*app.executed, *app.duplicated}
    )
    result.failed.sort(key=lambda failed: (failed.at, failed.client.name, failed.sequence))
    return result


def _closed(loads: Sequence[LoadLedger]) -> Counter[str]:
    """Connections that the server closed without a word, by class. Both records tell them; neither hides one."""
    lives, counts = Counter[str](), Counter[str]()
    for load in loads:
        lives.update(one.traffic_class for one in load.connections if one.how == "closed")
        for sockets in load.sockets:
            counts[sockets.traffic_class] += sockets.closed
    return lives | counts


def _together(apps: Mapping[str, AppLedger | None]) -> AppLedger | None:
    """What all applications executed, as one ledger; None if one of them has none.

    A request that two of them executed was executed twice.
    """
    executed: dict[str, Ranges] = {}
    times: dict[str, Counter[int]] = {}
    for app in apps.values():
        if app is None:
            return None
        for name in {*app.executed, *app.duplicated}:
            own = _executed(app, name)
            counts = times.setdefault(name, Counter())
            counts.update(dict(app.duplicated.get(name, [])))
            for sequence in ranges.numbers(ranges.both(own, executed.get(name, []))):
                counts[sequence] = max(counts[sequence], 1) + 1
            executed[name] = ranges.union(executed.get(name, []), own)
    twice = {name: sorted((s, n) for s, n in counts.items() if n > 1) for name, counts in times.items()}
    return AppLedger(
        pod=SERVICE, executed=executed, duplicated={name: found for name, found in twice.items() if found}
    )


def _sent(client: Client) -> Ranges:
    """All that ended was sent, even if the ledger forgot to say so: nothing vanishes."""
    return ranges.union(
        client.sent, client.answered, ranges.of(failure.sequence for failure in client.failures)
    )


def _executed(app: AppLedger, client: str) -> Ranges:
    return ranges.union(
        app.executed.get(client, []), ranges.of(sequence for sequence, _ in app.duplicated.get(client, []))
    )


@dataclass(frozen=True)
class _View:
    """All that both sides know about the requests of one client. `executed` is None where nobody knows."""

    load: LoadLedger
    client: Client
    sent: Ranges
    answered: Ranges
    failures: Mapping[int, ClientFailure]
    in_flight: Ranges
    executed: Ranges | None
    times: Mapping[int, int]

    @classmethod
    def of(cls, load: LoadLedger, client: Client, app: AppLedger | None) -> _View:
        sent, answered = _sent(client), ranges.normal(client.answered)
        failures: dict[int, ClientFailure] = {}
        for failure in client.failures:
            failures.setdefault(failure.sequence, failure)
        twice = app.duplicated.get(client.name, []) if app else []
        return cls(
            load=load,
            client=client,
            sent=sent,
            answered=ranges.minus(answered, ranges.of(failures)),
            failures=failures,
            in_flight=ranges.minus(sent, ranges.union(answered, ranges.of(failures))),
            executed=_executed(app, client.name) if app else None,
            times={sequence: times for sequence, times in twice if times > 1},
        )

    def remark(self, sequence: int) -> str:
        """What the application's side adds to what the client saw."""
        if self.executed is None:
            return f"; whether it was executed is unknown, {self.client.pod} has no ledger"
        return f"; executed {self.times[sequence]} times" if sequence in self.times else ""


def _reconcile_client(view: _View, result: Reconciled) -> None:
    found = list(_failed(view))
    traffic = result.traffic(view.client.traffic_class)
    traffic.sent += ranges.count(view.sent)
    traffic.answered += ranges.count(view.sent) - len(found)
    traffic.failed += len(found)
    for one in found:
        setattr(traffic, one.fate, getattr(traffic, one.fate) + 1)
    result.failed += found
    said_answered, said_sent = ranges.normal(view.client.answered), ranges.normal(view.client.sent)
    result.contradictions += ranges.count(said_answered) - ranges.count(view.answered)
    result.contradictions += ranges.count(view.sent) - ranges.count(said_sent)
    if view.executed is not None:
        result.unrecorded += ranges.count(ranges.minus(view.answered, view.executed))


def _failed(view: _View) -> Iterator[Failed]:
    """Everything that went wrong with one client's requests, each request once."""
    sent_at = _send_times(view)
    unanswered = ranges.union(ranges.of(view.failures), view.in_flight)
    executed = set(ranges.numbers(ranges.both(unanswered, view.executed or [])))

    def failed(sequence: int, client_says: FailedFate | None, detail: str) -> Failed:
        fate = client_says or ("executed_unanswered" if sequence in executed else "lost")
        at = sent_at(sequence)
        return Failed(
            worker=view.load,
            client=view.client,
            sequence=sequence,
            at=at,
            ended=at,
            fate="duplicated" if sequence in view.times else fate,
            detail=detail,
        )

    for sequence, seen in view.failures.items():
        detail = f"{seen.kind}: {seen.detail}{view.remark(sequence)}"
        one = failed(sequence, SEEN_BY_CLIENT[seen.kind], detail)
        yield replace(
            one,
            ended=seen.ended,
            seen=seen.kind,
            served_by=seen.served_by,
            previous=seen.previous,
            following=seen.following,
        )
    for sequence in ranges.numbers(view.in_flight):
        detail = f"in flight when the traffic stopped{view.remark(sequence)}; send time estimated"
        one = failed(sequence, None, detail)
        yield replace(one, ended=max(one.at, view.load.stopped or one.at), in_flight=True)
    for sequence in ranges.numbers(ranges.both(ranges.of(view.times), view.answered)):
        yield failed(sequence, "duplicated", f"answered{view.remark(sequence)}; send time estimated")


def _send_times(view: _View) -> Callable[[int], float]:
    """Estimates when a request was sent: clients keep a pace, so time is about linear in the sequence.

    Ledgers keep no time for a request that ended well. The client's failures have theirs: fixed points.
    """
    points = {sequence: failure.at for sequence, failure in view.failures.items()}
    if view.sent:
        last_seen = view.load.stopped or max(
            (one.last for one in view.load.series), default=view.load.started
        )
        points.setdefault(view.sent[0][0], view.load.started)
        points.setdefault(view.sent[-1][1], last_seen)
    sequences = sorted(points)

    def estimate(sequence: int) -> float:
        after = bisect_left(sequences, sequence)
        if sequences[after] == sequence:
            return points[sequence]
        left, right = sequences[after - 1], sequences[after]
        return points[left] + (points[right] - points[left]) * (sequence - left) / (right - left)

    return estimate
