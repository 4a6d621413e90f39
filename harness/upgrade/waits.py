"""Every wait of an upgrade by name, and the clock that measures it. Knows nothing of what is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Timeouts:
    """Seconds after which something is taken not to come any more."""

    observed_s: float = 30.0
    """The controller has seen the SidecarSet: well under a second where it runs at all."""

    pods_s: float = 120.0
    """All pods are Ready with their pairs: containers start one after the other, each with its hook."""

    step_s: float = 120.0
    """The next step of any pod. Above the 82 s that a kubelet's back-off was seen to take."""

    back_off_s: float = 330.0
    """The next step while a pod is seen in back-off: kubelets wait 300 s at most, and start it within seconds."""

    unreachable_s: float = 15.0
    """The API answers again after it stopped to."""


TIMEOUTS = Timeouts()


@dataclass(frozen=True)
class Clock:
    """Wall time in Unix seconds, and a pause; tests put a virtual one in its place."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


CLOCK = Clock()
POLL_S = 0.1  # a small part of what a pod takes to start, and no load on an API server
