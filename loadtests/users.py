"""Locust's side: a user is one client of one traffic class; a worker holds what its users share.

Knows nothing of HTTP. One task is a user's whole life, so that Locust never stops it inside a request.
"""

from __future__ import annotations

import itertools
import socket
from time import monotonic
from typing import Any, ClassVar

import gevent
from locust import User, task
from locust.exception import StopUser

from loadtests import ledger
from loadtests.classes import TrafficClass
from loadtests.client import RequestFailed
from loadtests.effort import Efforts
from loadtests.idleness import Idleness
from loadtests.sender import Sender
from loadtests.settings import Settings
from loadtests.shapes import Arrivals

GOLDEN = 0.618033988749895  # its multiples spread any number of clients evenly over an interval
BETWEEN = 0.414213562373095  # keeps the clients of one worker apart from those of the next
SPREAD_S = 2.0  # within which every client of a class begins whose requests last for longer


class Worker:
    """One Locust worker: its ledger, its clients' names and pods. A test may be started more than once."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.name = socket.gethostname()
        self.index = 0
        self.ledger = ledger.Ledger(self.name, ledger.wall(monotonic()))
        self._numbers = {traffic.name: itertools.count() for traffic in settings.classes}
        self._stopping = True

    def start(self, index: int) -> None:
        """A test starts; `index` tells this worker from the others."""
        self.index = index
        self.ledger = ledger.Ledger(self.name, ledger.wall(monotonic()))
        self._stopping = False
        gevent.spawn(self._beat)

    def begin_stop(self) -> None:
        """Users finish the request that they are in."""
        self._stopping = True
        self.ledger.close(ledger.wall(monotonic()))

    def stop(self) -> None:
        """No user is left."""
        self.ledger.stop(ledger.wall(monotonic()))

    def stopping(self) -> bool:
        """Whether users have to end."""
        return self._stopping

    def send(self, traffic: TrafficClass, environment: Any) -> None:
        """The life of one client. Numbers go on over tests, so that no request id ever comes twice."""
        number = next(self._numbers[traffic.name])
        addresses = self.settings.addresses(traffic)
        address = addresses[(number + self.index) % len(addresses)]
        name = f"{self.name}.{self.index}.{traffic.name}.{number}"
        executor = address.beyond or address
        via = address.pod if executor.pod != address.pod else None
        client = self.ledger.client(name, traffic.name, executor.pod, via)

        def report(method: str, response_ms: float, length: int, failure: RequestFailed | None) -> None:
            environment.events.request.fire(
                request_type=method,
                name=traffic.name,
                response_time=response_ms,
                response_length=length,
                exception=failure,
                context={},
            )

        sender = Sender(
            traffic, address, client, self.ledger.punctuality, self.settings.version_header, report
        )
        arrivals = self._arrivals(traffic, number)
        self.ledger.arrivals.append(arrivals)
        sender.run(arrivals, self.stopping)

    def _arrivals(self, traffic: TrafficClass, number: int) -> Arrivals:
        """One client's; the shape begins with the test for all."""
        start, interval_s = self.ledger.started - ledger.CLOCK_OFFSET_S, self.settings.interval_s(traffic)
        phase = (number * GOLDEN + self.index * BETWEEN) % 1
        if traffic.lasts_s:
            phase *= min(1.0, SPREAD_S / interval_s)
        return Arrivals(self.settings.shape_of(traffic), interval_s, phase, start, monotonic())

    def _beat(self) -> None:
        kept, idleness = self.ledger, Idleness()
        punctuality, start = kept.punctuality, kept.started - ledger.CLOCK_OFFSET_S
        efforts = Efforts(start, kept.arrivals, lambda: punctuality.late, idleness.seconds)
        kept.efforts = efforts.past
        while not self._stopping:
            punctuality.beat(monotonic())
            efforts.note(monotonic())
            gevent.sleep(punctuality.BEAT_S)
        idleness.end()


class TrafficUser(User):
    """One client."""

    abstract = True
    traffic: ClassVar[TrafficClass]
    worker: ClassVar[Worker]

    @task
    def send(self) -> None:
        """Sends until the test stops."""
        self.worker.send(self.traffic, self.environment)
        raise StopUser


def user_class(worker: Worker, traffic: TrafficClass) -> type[TrafficUser]:
    """The Locust user of a traffic class, e.g. `KeepAlive`."""
    name = "".join(word.capitalize() for word in traffic.name.split("-"))
    attributes = {
        "__doc__": f"One client of the class {traffic.name}.",
        "abstract": False,
        "traffic": traffic,
        "worker": worker,
        "fixed_count": worker.settings.clients(traffic),
    }
    return type(name, (TrafficUser,), attributes)
