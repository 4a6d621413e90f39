"""The arithmetic of roll-outs, and which pods can be done without."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.embedded.controllers import run_controllers
from harness.embedded.controllers.ownership import selector_text
from harness.embedded.controllers.replicaset import dispensable_first
from harness.embedded.controllers.rollout import Replicas, amount, bounds, recreate, rolling
from harness.embedded.seams import Object
from tests.embedded.fakes import FakeApi


@pytest.mark.parametrize(
    ("surge", "unavailable", "desired", "expected"),
    [
        ("25%", "25%", 4, (1, 1)),
        ("25%", "25%", 1, (1, 0)),
        (0, 0, 3, (0, 1)),
        (2, "50%", 3, (2, 1)),
        ("0%", "0%", 3, (0, 1)),
    ],
)
def test_bounds(surge: int | str, unavailable: int | str, desired: int, expected: tuple[int, int]) -> None:
    assert bounds(surge, unavailable, desired) == expected


def test_percentages_are_rounded_up_or_down() -> None:
    assert (amount("34%", 3, True), amount("34%", 3, False)) == (2, 1)


@given(st.integers(1, 8), st.integers(0, 3), st.integers(0, 3), st.data())
def test_a_rolling_update_comes_to_its_end_within_its_bounds(
    desired: int, surge: int, unavailable: int, data: st.DataObject
) -> None:
    surge, unavailable = bounds(surge, unavailable, desired)
    wanted, available = {"target": 0, "former": desired}, {"target": 0, "former": desired}
    for _ in range(4 * desired + 4):
        target, former = (
            Replicas(name, wanted[name], available[name], wanted[name]) for name in ("target", "former")
        )
        wanted |= rolling(desired, surge, unavailable, target, [former])
        assert sum(wanted.values()) <= desired + surge
        available = {name: min(available[name], wanted[name]) for name in wanted}
        assert sum(available.values()) >= desired - unavailable
        missing = wanted["target"] - available["target"]
        available["target"] += data.draw(st.integers(min(1, missing), missing)) if missing else 0
    assert (wanted, available["target"]) == ({"target": desired, "former": 0}, desired)


def test_pods_that_serve_nobody_go_first() -> None:
    others = [Replicas("broken", 2, 0, 2), Replicas("former", 3, 3, 3)]
    assert rolling(4, 1, 1, Replicas("target", 0, 0, 0), others) == {"broken": 0}


def test_recreate_grows_only_when_nothing_else_exists() -> None:
    target = Replicas("target", 0, 0, 0)
    assert recreate(2, target, [Replicas("former", 2, 2, 2)]) == {"former": 0}
    assert recreate(2, target, [Replicas("former", 0, 0, 1)]) == {}
    assert recreate(2, target, [Replicas("former", 0, 0, 0)]) == {"target": 2}


def pod(
    name: str,
    *,
    ready: bool = True,
    node: str = "n",
    phase: str = "Running",
    born: int = 0,
    restarts: int = 0,
) -> Object:
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": "2027-01-15T08:00:00Z"}
    status = {"phase": phase, "conditions": [condition], "containerStatuses": [{"restartCount": restarts}]}
    metadata = {"name": name, "creationTimestamp": f"2027-01-15T07:00:{born:02}Z"}
    return {"metadata": metadata, "spec": {"nodeName": node}, "status": status}


def test_pods_are_given_up_in_order_of_their_worth() -> None:
    pods = [
        pod("steady"),
        pod("young", born=5),
        pod("restarted", restarts=3),
        pod("not ready", ready=False),
        pod("pending", phase="Pending", ready=False),
        pod("unassigned", node="", phase="Pending", ready=False),
    ]
    names = [body["metadata"]["name"] for body in sorted(pods, key=dispensable_first)]
    assert names == ["unassigned", "pending", "not ready", "restarted", "young", "steady"]


def test_a_selector_as_a_query() -> None:
    expressions = [
        {"key": "tier", "operator": "In", "values": ["a", "b"]},
        {"key": "old", "operator": "DoesNotExist"},
        {"key": "app", "operator": "Exists"},
    ]
    text = selector_text({"matchLabels": {"x": "1"}, "matchExpressions": expressions})
    assert text == "x=1,tier in (a,b),!old,app"


async def test_a_broken_controller_ends_them_all_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(FakeApi):
        async def list(self, *arguments: object, **more: object) -> list[Object]:
            raise RuntimeError("broken on purpose")

    with pytest.raises(ExceptionGroup):
        await asyncio.wait_for(run_controllers(Broken(), ca="CA"), 5)
    assert "broken on purpose" in capsys.readouterr().err
