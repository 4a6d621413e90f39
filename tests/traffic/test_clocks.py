import json
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from harness.traffic import clocks
from harness.traffic.proxy import PodPort, Unreachable

Trip = tuple[float, float]
"""Seconds that a question takes, and that its answer does."""


class World:
    """A clock here, a pod whose clock is ahead of it, and the way between the two."""

    def __init__(self, ahead: float, trips: list[Trip]) -> None:
        self.time, self.ahead, self.trips = 1000.0, ahead, iter(trips)
        self.pod = "app-a"

    def now(self) -> float:
        return self.time

    def call(self, method: str, path: str, timeout_s: float) -> bytes:
        assert (method, path) == ("GET", "/clock")
        trip = next(self.trips, None)
        if trip is None:
            raise Unreachable("gone")
        self.time += trip[0]
        answer = json.dumps({"now": self.time + self.ahead}).encode()
        self.time += trip[1]
        return answer

    @property
    def port(self) -> PodPort:
        return cast(Any, self)  # type: ignore[no-any-return]


seconds = st.floats(0.0001, 1)


@given(st.floats(-100, 100), st.lists(st.tuples(seconds, seconds), min_size=1, max_size=clocks.ROUNDS))
def test_the_offset_is_right_by_the_uncertainty_that_is_told(ahead: float, trips: list[Trip]) -> None:
    world = World(ahead, trips)
    (offset,) = clocks.measure([world.port], world.now)
    assert offset.pod == "app-a"
    assert abs(offset.offset_ms - ahead * 1000) <= offset.uncertainty_ms + 1e-6
    assert offset.uncertainty_ms <= min(there + back for there, back in trips) * 500 + 1e-6


def test_the_shortest_round_trip_is_believed() -> None:
    world = World(0.25, [(0.5, 0.1), (0.002, 0.002), (0.3, 0.3)])
    (offset,) = clocks.measure([world.port], world.now)
    assert (round(offset.offset_ms, 6), round(offset.uncertainty_ms, 6)) == (250, 2)


def test_a_pod_that_never_answers_is_left_out() -> None:
    assert clocks.measure([World(0, []).port, World(0, [(0.1, 0.1)]).port]) != []
    assert clocks.measure([World(0, []).port]) == []
