"""What is not spoken is left out, and what everybody owes is missed before any load."""

from __future__ import annotations

from typing import Any, cast

import pytest

from harness.errors import ClusterError
from harness.traffic.dialect import Dialect
from harness.traffic.load import Target

TARGETS = [Target("pod-1", "10.0.0.1", 9091), Target("pod-2", "10.0.0.2", 9091)]


class Probed:
    """A load whose probe finds what it is told to."""

    def __init__(self, found: dict[str, dict[str, str | None]], *, own_requests: bool = False) -> None:
        self.classes, self.own_requests = tuple(found), own_requests
        self._found = found
        self.probes = 0

    def probe(self) -> dict[str, dict[str, str | None]]:
        self.probes += 1
        return self._found


def learn(dialect: Dialect, load: Probed) -> dict[str, str]:
    return dialect.learn(cast(Any, load), TARGETS)


def test_a_feature_that_is_not_spoken_is_told_with_what_was_seen() -> None:
    load = Probed({"keep-alive": {"pod-1": None}, "h2": {"pod-1": "protocol: not HTTP/2"}})
    assert learn(Dialect(str), load) == {"h2": "protocol: not HTTP/2"}


def test_a_class_is_tried_once_in_a_run() -> None:
    dialect, load = Dialect(str), Probed({"keep-alive": {"pod-1": None}, "h2": {"pod-1": "eof: no answer"}})
    assert learn(dialect, load) == learn(dialect, load) == {"h2": "eof: no answer"}
    assert load.probes == 1


def test_a_port_that_nobody_serves_ends_the_run_with_the_pods_words() -> None:
    load = Probed({"keep-alive": {"pod-1": None, "pod-2": "refused: no connection: Connection refused"}})
    expected = (
        "pod pod-2, port 9091: a request of class keep-alive before the load went wrong: refused: no connection: "
        "Connection refused; said pod-2"
    )
    with pytest.raises(ClusterError) as caught:
        learn(Dialect(lambda pod: f"; said {pod}"), load)
    assert str(caught.value) == expected


def test_requests_of_the_users_own_have_to_go_well_whatever_their_class() -> None:
    load = Probed({"h2": {"pod-1": "status: status 404"}}, own_requests=True)
    with pytest.raises(ClusterError, match="status 404"):
        learn(Dialect(str), load)
