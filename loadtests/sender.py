"""One client: sends its class's requests to one pod, one by one, at their intended times, and records all.

Arrivals are scheduled: a slow answer delays what follows on this client, and the delay counts as latency.
Knows nothing of Locust; under it, sleeping and sockets are gevent's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from random import Random
from time import monotonic

from loadtests import ledger
from loadtests.classes import Request, TrafficClass
from loadtests.client import ANSWER_TIMEOUT_S, Address, Answer, Connection, RequestFailed

Report = Callable[[str, float, int, RequestFailed | None], None]
"""Told of every request's end: method, milliseconds from its intended time, bytes of body, failure."""

KEEPS_CONNECTION = frozenset({"status"})  # failures after which the connection is still in step
ENDS_BY_CLIENT = frozenset({"corrupted"})  # failures after which this side does not trust it any more

STOP_SEEN_S = 1.0  # a pause of the schedule may be long, a stop must not be


class Sender:
    """One client at work."""

    def __init__(
        self,
        traffic: TrafficClass,
        address: Address,
        client: ledger.Client,
        punctuality: ledger.Punctuality,
        version_header: str,
        report: Report,
    ) -> None:
        self._traffic, self._address, self._client = traffic, address, client
        self._punctuality, self._report = punctuality, report
        self._version_header = version_header.lower().encode()
        self._host = f"{address.host}:{address.port}".encode()
        self._random = Random(client.name)
        self._free_since = 0.0
        self._connection: Connection | None = None
        self._record = ledger.Connection(0.0)
        self._headers: Mapping[bytes, bytes] = {}  # of the last answer, as far as it came

    def run(self, arrivals: Iterable[float], stopping: Callable[[], bool]) -> None:
        """Sends at each of the `arrivals` (monotonic), until `stopping`, between requests."""
        for due in arrivals:
            unasked = self._wait(due, stopping)
            if stopping():
                break
            self._send(due, unasked)
        if self._connection:
            self._connection.close()

    def _wait(self, due: float, stopping: Callable[[], bool]) -> RequestFailed | None:
        """Waits for the next intended time, or a stop, and sees at once when the server closes the idle connection."""
        unasked = None
        while True:
            until = min(due, monotonic() + STOP_SEEN_S)
            if self._connection and not unasked:
                try:
                    if not self._connection.silent_until(until):
                        self._end("closed")
                except RequestFailed as failure:
                    unasked = failure
            left = until - monotonic()
            if left > 0:
                time.sleep(left)
            if until == due or stopping():
                return unasked

    def _send(self, due: float, unasked: RequestFailed | None) -> None:
        """One request, from its intended time to the ledger."""
        now = monotonic()
        self._punctuality.sent(max(due, self._free_since), now)
        intended = ledger.wall(due)
        sequence = self._client.begin(intended)
        request_id = f"{self._client.name}-{sequence}".encode()
        request = self._traffic.compose(self._host, request_id, self._random)
        self._headers, length = {}, 0
        failure = unasked
        try:
            if failure is None:
                answer = self._exchange(request, now + ANSWER_TIMEOUT_S)
                length = len(answer.body)
                fault = request.fault(answer)
                failure = RequestFailed(fault.kind, fault.detail) if fault else None
                self._after(answer)
        except RequestFailed as caught:
            failure = caught
        self._free_since = monotonic()
        ended = ledger.wall(self._free_since)
        version = self._version()
        if failure is None:
            self._client.answered(intended, ended, version)
        else:
            self._client.failed(intended, ended, failure.kind, failure.detail, version)
            self._give_up(failure)
        self._report(request.method, (ended - intended) * 1000, length, failure)

    def _exchange(self, request: Request, deadline: float) -> Answer:
        if self._connection is None:
            self._connection = Connection(self._address, deadline)
            self._record = ledger.Connection(ledger.wall(monotonic()))
            if self._traffic.reuses:
                self._client.connections.append(self._record)
        self._record.requests += 1
        try:
            return self._connection.ask(request.data, deadline)
        finally:
            self._headers = self._connection.headers

    def _after(self, answer: Answer) -> None:
        """The answer is whole; whether it is right does not matter to the connection."""
        if answer.last:
            self._end("told")
        elif not self._traffic.reuses:
            self._end("client")

    def _give_up(self, failure: RequestFailed) -> None:
        if self._connection and failure.kind not in KEEPS_CONNECTION:
            self._end("client" if failure.kind in ENDS_BY_CLIENT else "broken")

    def _end(self, how: str) -> None:
        assert self._connection is not None
        self._connection.close()
        self._connection = None
        self._record.end(how, ledger.wall(monotonic()))

    def _version(self) -> str | None:
        value = self._headers.get(self._version_header) if self._version_header else None
        return value.decode("latin-1") if value is not None else None
