"""The traffic classes as the harness knows them: what each is asked for, and what may be asked of it.

What their clients do is loadtests/classes.py; a test keeps both lists alike. Data.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrafficClass:
    """One way of using a sidecar."""

    name: str
    usual: bool = False
    """A run sends it unless it names others, and every sidecar has to answer it."""
    feature: bool = False
    """It counts in the extended profile: it is owed by who has the feature."""
    crosses: bool = False
    """Its connections live long enough to be there when a pod flips."""
    kept: bool = False
    """The extended profile promises that none of them is closed without a word."""
    lasting: bool = False
    """Its requests last by design: their latencies would hide all others'."""
    enough: int | None = None
    """So many requests in an upgrade are enough, where a quick one sees few by design; None: as many as usual."""


CLASSES = (
    TrafficClass("new-connection", usual=True),
    TrafficClass("keep-alive", usual=True, crosses=True, kept=True),
    TrafficClass("idle-keep-alive", usual=True, feature=True, crosses=True, kept=True, enough=30),
    TrafficClass("post", usual=True, crosses=True, kept=True),
    TrafficClass("stream", usual=True, lasting=True, enough=30),
    TrafficClass("pipelined", feature=True, crosses=True, kept=True),
    TrafficClass("slow-upload", feature=True, lasting=True, enough=10),
    TrafficClass("long-stream", feature=True, lasting=True, enough=5),
    TrafficClass("websocket", feature=True, crosses=True, kept=True),
    TrafficClass("connect", feature=True, crosses=True, kept=True),
    TrafficClass("h2", feature=True, crosses=True, kept=True),
    TrafficClass("egress", feature=True, crosses=True),
    TrafficClass("service", feature=True),
)

USUAL = tuple(one.name for one in CLASSES if one.usual)
FEATURES = tuple(one.name for one in CLASSES if one.feature)
CROSSING = tuple(one.name for one in CLASSES if one.crosses)
KEPT = tuple(one.name for one in CLASSES if one.kept)
LASTING = tuple(one.name for one in CLASSES if one.lasting)
ENOUGH = {one.name: one.enough for one in CLASSES if one.enough is not None}
THROUGH_SERVICE = "service"
"""Goes to a Service in front of the pods, where there is one, and not to each pod."""
