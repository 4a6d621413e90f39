"""The failures as the report shows them, the first of them with what containers wrote around them.

Knows nothing of outcomes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from harness.record.ledger import SERVICE
from harness.record.report import Failure, LogLine
from harness.verdict.evidence import Loss, pods_of

WITH_LOG = 50  # failures; further ones look like these, and a report has to stay readable
AROUND_S = 1.0
MOST_LINES = 40


def rows(losses: Sequence[Loss], logs: Sequence[LogLine]) -> list[Failure]:
    """In the order of the losses; those with a log are the first that count, then the first of the others."""
    told = sorted(range(len(losses)), key=lambda number: not losses[number].counts)[:WITH_LOG]
    with_log = set(told)
    log = Log(logs)
    return [_row(loss, log.around(loss) if number in with_log else []) for number, loss in enumerate(losses)]


class Log:
    """Lines by pod, in the order of their times."""

    def __init__(self, lines: Iterable[LogLine]) -> None:
        self._lines: dict[str, list[LogLine]] = {}
        for line in sorted(lines, key=lambda line: line.at):
            self._lines.setdefault(line.pod, []).append(line)
        self._at = {pod: [line.at for line in lines] for pod, lines in self._lines.items()}

    def around(self, loss: Loss) -> list[LogLine]:
        """What its pods wrote when it was sent and when it failed; the nearest, where there is more."""
        request = loss.request
        service = request.client.pod == SERVICE  # it may have gone to any of them
        pods = self._lines if service else pods_of(request.client)
        found = {
            id(line): (min(abs(line.at - request.at), abs(line.at - request.ended)), line)
            for pod in pods
            for moment in (request.at, request.ended)
            for line in self._within(pod, moment - AROUND_S, moment + AROUND_S)
        }
        nearest = sorted(found.values(), key=lambda one: one[0])[:MOST_LINES]
        return sorted((line for _, line in nearest), key=lambda line: line.at)

    def _within(self, pod: str, start: float, end: float) -> list[LogLine]:
        at = self._at.get(pod, [])
        return self._lines.get(pod, [])[bisect_left(at, start) : bisect_right(at, end)]


def _row(loss: Loss, log: Sequence[LogLine]) -> Failure:
    request = loss.request
    fields = {
        "class": request.client.traffic_class,
        "client": request.client.name,
        "sequence": request.sequence,
        "pod": request.client.pod,
        "at": request.at,
        "ended": request.ended,
        "phase": loss.place.phase,
        "upgrade": loss.place.upgrade,
        "kind": request.fate,
        "detail": request.detail,
        "served_by": request.served_by,
        "allowed": loss.allowed,
        "in_doubt": loss.in_doubt,
        "previous": request.previous,
        "following": request.following,
        "log": list(log),
    }
    return Failure.model_validate(fields)
