"""The traffic classes: how many clients, how often, what they send, and how. Data.

Numbers are over all pods together. They are chosen so that every class has at least 100 requests sent in any 2 s,
or, where requests last for seconds, some in flight at every moment. The six that a run has unless it names others
make about 1,200 requests a second, all others together 250: one Locust worker sends that with ease.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from loadtests import compose
from loadtests.client import Address, Conversation
from loadtests.compose import Compose
from loadtests.http1 import Http1, LongStream, Upload
from loadtests.http2 import Http2
from loadtests.messages import WebSocket
from loadtests.tunnel import Tunnel

LONG_STREAM_S = 12.0  # longer than an upgrade


class Open(Protocol):
    """Opens a connection, until a deadline; RequestFailed."""

    def __call__(
        self, address: Address, deadline: float, stopping: Callable[[], bool] = ...
    ) -> Conversation[Any]:
        """See Conversation."""


@dataclass(frozen=True)
class TrafficClass:
    """One way of using the sidecar. `interval_s` is between one client's batches of requests."""

    name: str
    clients: int
    interval_s: float
    compose: Compose
    open: Open = Http1
    profile: Literal["core", "extended"] = "extended"
    """core: every sidecar owes it; extended: it is owed by who claims the feature."""
    batch: int = 1
    """Requests that are sent at once, on one connection."""
    lasts_s: float = 0.0
    """How long a request takes by design."""
    brief: Compose | None = None
    """A request of the same kind that is answered at once; None: all are."""
    reuses: bool = True
    """Its requests follow each other on one connection."""
    paced: bool = True
    """May be sent faster or slower; the others' intervals are what they are about."""
    service: bool = False
    """Goes to the Service in front of the pods, and not to each pod."""
    relayed: bool = False
    """The application passes its requests on to another pod's."""

    @property
    def feature(self) -> str:
        """What a sidecar claims that is to be tried with it."""
        return self.name


def long_stream(seconds: float) -> TrafficClass:
    """Streams of that length, one after the other."""
    return TrafficClass(
        "long-stream",
        clients=20,
        interval_s=seconds + 0.5,
        compose=compose.long_stream(seconds),
        open=LongStream,
        lasts_s=seconds,
        brief=compose.long_stream(compose.BRIEFLY_S),
        reuses=False,
        paced=False,
    )


CLASSES = {
    traffic.name: traffic
    for traffic in (
        TrafficClass("new-connection", 10, 0.04, compose.get_and_close, profile="core", reuses=False),
        TrafficClass("keep-alive", 24, 0.04, compose.get, profile="core"),
        # The silence outlasts a flip, and with so many clients some are silent across every moment of it.
        TrafficClass("idle-keep-alive", 120, 1.6, compose.short_post, paced=False),
        TrafficClass("post", 10, 0.04, compose.post, profile="core"),
        # A stream lasts 0.9 s; the rest of the interval keeps the client on its schedule.
        TrafficClass("stream", 40, 1.0, compose.stream, profile="core", paced=False),
        TrafficClass("pipelined", 8, 1.28, compose.get_or_post, batch=8),
        TrafficClass(
            "slow-upload",
            20,
            6.0,
            compose.slow_upload,
            open=Upload,
            lasts_s=max(compose.UPLOAD_S),
            brief=compose.brief_upload,
            reuses=False,
            paced=False,
        ),
        long_stream(LONG_STREAM_S),
        TrafficClass("websocket", 20, 0.8, compose.message, open=WebSocket, batch=2),
        TrafficClass("connect", 10, 0.2, compose.through_tunnel, open=Tunnel, relayed=True),
        TrafficClass("h2", 8, 0.64, compose.over_http2, open=Http2, batch=4),
        TrafficClass("egress", 10, 0.2, compose.relayed_post, relayed=True),
        # Through a Service's address: only a new connection asks which pods are its endpoints.
        TrafficClass("service", 3, 0.04, compose.get_and_close, reuses=False, service=True),
    )
}
