"""What the load generator and the application saw, in the shape in which their pods serve it.

Written by images/ and loadtests/, which know nothing of this package: plain JSON, held to these models by tests.
Sequences count from 1 per client. A range is an inclusive pair; ten million requests cost kilobytes, and what they
took two bytes each (`series.py`).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.record.base import Record, Time
from harness.record.series import Series

Ranges = list[tuple[int, int]]
"""Inclusive, sorted, disjoint pairs."""

SERVICE = "service"
"""Stands for the pod of a client that goes to the Service in front: any of the pods may answer it."""

FailureKind = Literal["refused", "reset", "eof", "timeout", "status", "protocol", "corrupted"]
"""refused: no connection; reset/eof: the connection ended before the whole answer; timeout: no answer in time;
status: a status that the application did not send; protocol: not HTTP; corrupted: wrong id, hash or length."""


class Neighbour(Record):
    """The same client's request just before or after one that failed."""

    sequence: int
    at: Time = Field(description="intended send time")
    ended: Time
    how: str = Field(description="`answered`, or the kind of its failure")
    served_by: str | None = None


class ClientFailure(Record):
    """One request that did not end well, as its client saw it; `following` is missing where it was the last."""

    sequence: int
    at: Time = Field(description="intended send time")
    ended: Time
    kind: FailureKind
    detail: str
    served_by: str | None = Field(default=None, description="version header of the answer, if there was one")
    previous: Neighbour | None = None
    following: Neighbour | None = None


class Client(Record):
    """One sequential sender, bound to one pod. `answered` holds only answers that were right in all respects.

    `pod` is where its requests are executed. `via` is the pod that it sends them to, where that is another one: its
    application passes them on through its own sidecar, and what happens to either of the two hits the request.
    """

    name: str
    traffic_class: str = Field(alias="class")
    pod: str
    via: str | None = None
    sent: Ranges
    answered: Ranges
    failures: list[ClientFailure]


class Connection(Record):
    """The life of one connection that carries more than one request (new-connection's are only counted).

    how: `open` at the end of the run; `told` the server said `Connection: close`; `closed` the server closed it while
    it was idle; `broken` it ended under a request; `client` the client closed it.
    """

    client: str
    traffic_class: str = Field(alias="class")
    pod: str
    opened: Time
    ended: Time | None
    how: Literal["open", "told", "closed", "broken", "client"]
    requests: int
    told_at: Time | None = None


class Sockets(Record):
    """What became of all connections of one class towards one pod, also of those that carry one request each."""

    traffic_class: str = Field(alias="class")
    pod: str
    opened: int = 0
    reused: int = Field(default=0, description="requests that were not the first on their connection")
    told: int = Field(
        default=0, description="ended because the server said so, by `Connection: close` or GOAWAY"
    )
    goaway: int = Field(default=0, description="of those that were told: by GOAWAY")
    closed: int = Field(default=0, description="closed by the server without a word, while idle")
    broken: int = Field(default=0, description="ended under a request, by a reset or an end of file")


class Saturation(Record):
    """How well the load generator kept its schedule."""

    late_fraction: float = Field(
        description="requests sent more than LATE_MS late, though their client was free to send, of all"
    )
    max_lag_ms: float
    cpu_fraction: float = Field(
        description="processor time of the generator's process over wall time; 1 is one core"
    )
    asked: float = Field(default=0.0, description="arrivals a second that the schedule had")
    reached: float = Field(default=0.0, description="of those, how many were sent and came to an end")


LATE_MS = 50.0


class Effort(Record):
    """What a worker did in a stretch of about a second."""

    at: Time
    seconds: float
    asked: int = Field(description="arrivals that fell due")
    reached: int = Field(description="arrivals that came to an end, well or not, whenever they were due")
    late: int = Field(
        description="requests sent more than LATE_MS late, though their client was free to send"
    )
    busy: float = Field(
        description="share of the time in which it had something to do; 1 is a generator that is the limit itself"
    )


class LoadLedger(Record):
    """Everything that one Locust worker recorded."""

    worker: str
    started: Time
    stopped: Time | None
    clients: list[Client]
    connections: list[Connection]
    series: list[Series]
    saturation: Saturation
    sockets: list[Sockets] = []
    efforts: list[Effort] = []


class AppLedger(Record):
    """What one application container executed, per client; `duplicated` maps a client to [sequence, times] pairs."""

    pod: str
    executed: dict[str, Ranges]
    duplicated: dict[str, list[tuple[int, int]]]
