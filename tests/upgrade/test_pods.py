"""Waiting for pods and their pairs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.errors import ClusterError, Timeout
from harness.manifest import Subject
from harness.upgrade.pods import wait_for_pairs
from harness.upgrade.view import PodView
from tests.upgrade.fakes import Answer, FakeApi, FakeTime, pod, refusal
from tests.upgrade.recordings import BAD, COLD, ROLLING, THEN_GOOD, views

STEADY = [view for at, view in list(views(ROLLING))[:3]]


def listing(*seen: PodView) -> FakeApi:
    def answer(method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        if path.endswith("/pods"):
            assert query == {"labelSelector": "app=trace"}
            return 200, {"metadata": {"resourceVersion": "1"}, "items": [pod(view) for view in seen]}
        return (200, {"items": []}) if path.endswith("/events") else refusal(400, "no log")

    return FakeApi(answer)


def test_pods_with_their_pairs_are_named_in_order(hot: Subject) -> None:
    found = wait_for_pairs(listing(*reversed(STEADY)), "run", hot, 3, clock=FakeTime().clock)
    assert found == ["pod-1", "pod-2", "pod-3"]


def test_in_cold_mode_the_one_container_is_enough(cold: Subject) -> None:
    (_, view), *_ = views(COLD)
    assert wait_for_pairs(listing(view), "run", cold, 1, clock=FakeTime().clock) == ["pod-1"]


def test_a_pod_that_came_without_its_pair_is_refused_at_once_and_named(hot: Subject) -> None:
    bare = replace(STEADY[1], containers={"app": STEADY[1].containers["mesh-1"]})
    time = FakeTime()
    with pytest.raises(ClusterError, match="pod pod-2 came without mesh-1, mesh-2 and stays so"):
        wait_for_pairs(listing(STEADY[0], bare), "run", hot, 2, clock=time.clock)
    assert time.now == FakeTime().now


def test_too_few_pods_are_told_after_a_while(hot: Subject) -> None:
    with pytest.raises(Timeout, match="2 of 3 pods are there; none lacks a sidecar"):
        wait_for_pairs(listing(*STEADY[:2]), "run", hot, 3, clock=FakeTime().clock)


@pytest.mark.parametrize(
    ("view", "what"),
    [
        (replace(STEADY[0], ready=False), "pod-1 is not Ready yet"),
        (next(views(THEN_GOOD))[1], "pod-1 mesh-2 does not run rig/empty:v1"),
        (list(views(BAD))[1][1], "pod-1 mesh-2 does not run rig/empty:v1"),
    ],
)
def test_a_pod_that_waits_is_named_with_what_it_lacks_and_its_last_words(
    hot: Subject, view: PodView, what: str
) -> None:
    with pytest.raises(Timeout) as caught:
        wait_for_pairs(listing(view), "run", hot, 1, clock=FakeTime().clock)
    head, *rest = str(caught.value).splitlines()
    assert what in head
    assert "  pod-1, log of mesh-2: none" in rest
