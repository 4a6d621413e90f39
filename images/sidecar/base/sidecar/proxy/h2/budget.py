"""How often a client may do what costs this side and brings it nothing. Knows no frame and no clock.

Each budget allows a burst and then so much a second, so that neither a long-lived connection nor a busy one
runs dry, while a flood does at once.
"""

from __future__ import annotations

from h2.exceptions import DenialOfServiceError


class Budget:
    """What is left of one kind of cost."""

    __slots__ = ("_at", "_burst", "_left", "_rate", "_what")

    def __init__(self, what: str, burst: float, rate: float) -> None:
        self._what, self._burst, self._rate = what, burst, rate
        self._left = burst
        self._at = 0.0

    def spend(self, now: float) -> None:
        """Once more; DenialOfServiceError (GOAWAY with ENHANCE_YOUR_CALM) when there is nothing left."""
        if now > self._at:
            self._left = min(self._burst, self._left + (now - self._at) * self._rate)
            self._at = now
        self._left -= 1
        if self._left < 0:
            raise DenialOfServiceError(f"too many {self._what}")

    def earn(self, more: float) -> None:
        """Useful work was done, which such frames belong to."""
        self._left = min(self._burst, self._left + more)


def idle_frames() -> Budget:
    """Frames that carry nothing: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, unknown ones, empty DATA.

    Clients measure round trips with a PING for each burst of data and return windows in one or two frames for
    each DATA frame, which `earn` allows for; beyond that, a few a second are keep-alives.
    """
    return Budget("frames that carry nothing", burst=400, rate=20)


IDLE_PER_DATA = 4  # idle frames that one DATA frame of ours may bring about


def resets() -> Budget:
    """Requests that are taken back or refused: each has cost the application a request (rapid reset).

    A client may cancel all its streams twice over at once, as browsers do when a page is left.
    """
    return Budget("streams that are reset", burst=200, rate=20)
