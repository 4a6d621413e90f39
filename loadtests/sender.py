"""One client: sends its class's requests to one pod, batch by batch, at their intended times, and records all.

Arrivals are scheduled: a slow answer delays what follows on this client, and the delay counts as latency.
Knows nothing of Locust or of protocols; under Locust, sleeping and sockets are gevent's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from random import Random
from time import monotonic
from typing import Any

from loadtests import ledger
from loadtests.classes import TrafficClass
from loadtests.client import ANSWER_TIMEOUT_S, Address, Answer, Conversation, Reply, Request, RequestFailed

Report = Callable[[str, float, int, RequestFailed | None], None]
"""Told of every request's end: method, milliseconds from its intended time, bytes of body, failure."""

KEEPS_CONNECTION = frozenset({"status"})  # failures after which the connection is still in step
ENDS_BY_CLIENT = frozenset({"corrupted"})  # failures after which this side does not trust it any more
LOOK_S = 0.5  # how often a client that waits for its next time looks whether it is to stop, or
LOOKS = 4  # so often in an interval, where that is long: thousands of silent clients are no load


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
        self._random = Random(client.name)
        self._free_since = 0.0
        self._conversation: Conversation[Any] | None = None
        self._record = ledger.Connection(0.0)

    def run(self, arrivals: Iterable[float], stopping: Callable[[], bool]) -> None:
        """Sends at each of the `arrivals` (monotonic), until `stopping`, between requests."""
        for due in arrivals:
            unasked = self._wait(due, stopping)
            if stopping():
                break
            self._send(due, unasked, stopping)
        if self._conversation:
            self._conversation.close()

    def _wait(self, due: float, stopping: Callable[[], bool]) -> RequestFailed | None:
        """Waits for the next intended time, and sees at once when the server ends the idle connection."""
        unasked = None
        while True:
            until = min(due, monotonic() + max(LOOK_S, self._traffic.interval_s / LOOKS))
            if self._conversation and unasked is None:
                try:
                    if not self._conversation.silent_until(until):
                        self._end("told" if self._conversation.told else "closed")
                except RequestFailed as failure:
                    unasked = failure
            left = until - monotonic()
            if left > 0:
                time.sleep(left)
            if until == due or stopping():
                return unasked

    def _send(self, due: float, unasked: RequestFailed | None, stopping: Callable[[], bool]) -> None:
        """One batch, from its intended time to the ledger."""
        now = monotonic()
        intended = ledger.wall(due)
        sequences = [self._client.begin(intended) for _ in range(self._traffic.batch)]
        for _ in sequences:
            self._punctuality.sent(max(due, self._free_since), now)
        requests = [
            self._traffic.compose(self._address, f"{self._client.name}-{sequence}".encode(), self._random)
            for sequence in sequences
        ]
        deadline = now + self._traffic.lasts_s + ANSWER_TIMEOUT_S
        open_ends = dict(zip(sequences, requests, strict=True))
        distrusted = False
        try:
            if unasked:
                raise unasked
            for number, reply in self._converse(requests, deadline, stopping):
                sequence = sequences[number]
                fault = self._settle(sequence, open_ends.pop(sequence), reply)
                distrusted = distrusted or fault in ENDS_BY_CLIENT
        except RequestFailed as failure:
            for sequence, request in open_ends.items():
                self._settle(sequence, request, failure)
            self._give_up(failure)
        else:
            self._after(distrusted)
        self._free_since = monotonic()

    def _converse(
        self, requests: Sequence[Request], deadline: float, stopping: Callable[[], bool]
    ) -> Iterator[Reply]:
        """All ends of a batch, on the connection that is there or a new one; RequestFailed."""
        if self._conversation is None:
            self._conversation = self._traffic.open(self._address, deadline, stopping)
            self._record = self._client.open(ledger.wall(monotonic()), listed=self._traffic.reuses)
        self._client.carry(self._record, len(requests))
        return self._conversation.ask(requests, deadline)

    def _settle(self, sequence: int, request: Request, reply: Answer | RequestFailed) -> str | None:
        """A request has ended; returns the kind of its failure."""
        ended = ledger.wall(monotonic())
        failure, length = None, 0
        if isinstance(reply, RequestFailed):
            failure = reply
        else:
            length = len(reply.body)
            fault = request.fault(reply)
            failure = RequestFailed(fault.kind, fault.detail, reply.headers) if fault else None
        version = self._version(reply.headers)
        if failure is None:
            intended = self._client.answered(sequence, ended, version)
        else:
            intended = self._client.failed(sequence, ended, failure.kind, failure.detail, version)
        self._report(request.method, (ended - intended) * 1000, length, failure)
        return failure.kind if failure else None

    def _after(self, distrusted: bool) -> None:
        """All of a batch have ended, well or not, and the connection is there."""
        assert self._conversation is not None
        if not self._traffic.reuses:
            self._end("client")
        elif self._conversation.told:
            self._end("told")
        elif distrusted:
            self._end("client")

    def _give_up(self, failure: RequestFailed) -> None:
        if self._conversation and failure.kind not in KEEPS_CONNECTION:
            self._end("client" if failure.kind in ENDS_BY_CLIENT else "broken")

    def _end(self, how: str) -> None:
        assert self._conversation is not None
        told = self._conversation.told
        self._conversation.close()
        self._conversation = None
        self._client.end(self._record, how, ledger.wall(monotonic()), goaway=told == "goaway")

    def _version(self, headers: Mapping[bytes, bytes]) -> str | None:
        value = headers.get(self._version_header) if self._version_header else None
        return value.decode("latin-1") if value is not None else None
