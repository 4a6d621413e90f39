"""Which pods are upgraded next."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.sidecarset import ordering
from harness.sidecarset.api import SidecarSet
from harness.sidecarset.defaults import defaulted
from harness.sidecarset.names import HASH, HASH_WITHOUT_IMAGE, WORKING, Object
from harness.sidecarset.strategy import max_unavailable, partition, select
from tests.sidecarset.world import sidecar


def a_set(**strategy: Any) -> SidecarSet:
    spec = {"containers": [sidecar(hot=False)], "updateStrategy": strategy}
    return SidecarSet(defaulted({"metadata": {"name": "set"}, "spec": spec}))


def a_pod(
    number: int, sidecarset: SidecarSet, *, updated: bool = False, ready: bool = True, **labels: Any
) -> Object:
    entry = {"hash": sidecarset.hash if updated else "before"}
    images = {"set": {"hash": sidecarset.hash_without_image}}
    status = {"name": "mesh", "image": "rig/agent:v1", "imageID": "id", "ready": ready, "restartCount": 0}
    return {
        "metadata": {
            "name": f"pod-{number}",
            "namespace": "here",
            "labels": labels,
            "annotations": {
                HASH: f'{{"set":{{"hash":"{entry["hash"]}"}}}}',
                HASH_WITHOUT_IMAGE: f'{{"set":{{"hash":"{images["set"]["hash"]}"}}}}',
                WORKING: "{}",
            },
        },
        "spec": {"nodeName": "node", "containers": [{"name": "mesh", "image": "rig/agent:v1"}]},
        "status": {
            "phase": "Running",
            "containerStatuses": [status],
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def names(pods: Any) -> list[str]:
    return [each["metadata"]["name"] for each in pods]


SHARE = st.one_of(st.integers(0, 12), st.integers(0, 120).map(lambda percent: f"{percent}%"))
POD = st.tuples(st.booleans(), st.booleans())


@given(st.lists(POD, max_size=10), SHARE, SHARE)
def test_neither_partition_nor_max_unavailable_is_ever_exceeded(
    states: list[tuple[bool, bool]], kept_back: int | str, unavailable: int | str
) -> None:
    sidecarset = a_set(partition=kept_back, maxUnavailable=unavailable)
    pods = [a_pod(i, sidecarset, updated=up, ready=ready) for i, (up, ready) in enumerate(states)]
    chosen = select(sidecarset, pods).upgrade
    outdated = [pod for pod, (up, _) in zip(pods, states, strict=True) if not up]
    assert len(outdated) - len(chosen) >= min(partition(kept_back, len(pods)), len(outdated))
    ready_chosen = sum(pod["status"]["conditions"][0]["status"] == "True" for pod in chosen)
    already = sum(up and not ready for up, ready in states)
    assert ready_chosen == 0 or ready_chosen + already <= max_unavailable(unavailable, len(pods))
    assert all(pod in outdated for pod in chosen)


@given(st.lists(POD, min_size=1, max_size=10))
def test_there_is_progress_while_a_pod_is_outdated_and_the_budget_is_not_spent(
    states: list[tuple[bool, bool]],
) -> None:
    sidecarset = a_set()
    pods = [a_pod(i, sidecarset, updated=up, ready=ready) for i, (up, ready) in enumerate(states)]
    outdated = any(not up for up, _ in states)
    spent = any(up and not ready for up, ready in states)
    if outdated and not spent:
        assert select(sidecarset, pods).upgrade


def test_pods_that_are_not_ready_cost_nothing_and_go_first() -> None:
    sidecarset = a_set(maxUnavailable=1)
    pods = [a_pod(1, sidecarset), a_pod(2, sidecarset, ready=False), a_pod(3, sidecarset, ready=False)]
    assert names(select(sidecarset, pods).upgrade) == ["pod-2", "pod-3", "pod-1"]


def test_only_selected_pods_are_upgraded() -> None:
    sidecarset = a_set(selector={"matchLabels": {"canary": "yes"}}, maxUnavailable=9)
    pods = [a_pod(1, sidecarset), a_pod(2, sidecarset, canary="yes")]
    assert names(select(sidecarset, pods).upgrade) == ["pod-2"]


def test_pods_from_another_content_are_told_apart() -> None:
    sidecarset = a_set()
    pod = a_pod(1, sidecarset)
    pod["metadata"]["annotations"][HASH_WITHOUT_IMAGE] = '{"set":"other"}'
    selection = select(sidecarset, [pod])
    assert (list(selection.upgrade), names(selection.not_upgradable)) == ([], ["pod-1"])


@pytest.mark.parametrize(
    ("value", "total", "kept"),
    [
        (0, 4, 0),
        (3, 4, 3),
        (9, 4, 4),
        ("50%", 4, 2),
        ("50%", 3, 2),
        ("99%", 4, 3),
        ("99%", 1, 1),
        ("100%", 4, 4),
    ],
)
def test_a_percentage_as_partition_is_rounded_up_but_keeps_not_all(
    value: int | str, total: int, kept: int
) -> None:
    assert partition(value, total) == kept


@pytest.mark.parametrize(
    ("value", "total", "count"), [(None, 4, 1), ("50%", 3, 2), (0, 4, 0), ("150%", 4, 6)]
)
def test_a_percentage_as_max_unavailable_is_rounded_up(
    value: int | str | None, total: int, count: int
) -> None:
    assert max_unavailable(value, total) == count


def test_the_heavier_pod_goes_first() -> None:
    strategy = {
        "priorityStrategy": {
            "weightPriority": [
                {"weight": 20, "matchSelector": {"matchLabels": {"a": "1"}}},
                {"weight": 10, "matchSelector": {"matchLabels": {"b": "1"}}},
            ]
        }
    }
    pods = [
        a_pod(1, a_set(), b="1"),
        a_pod(2, a_set(), a="1"),
        a_pod(3, a_set(), a="1", b="1"),
        a_pod(4, a_set()),
    ]
    assert names(ordering.ordered(pods, strategy)) == ["pod-3", "pod-2", "pod-1", "pod-4"]


def test_ordered_keys_sort_by_key_then_by_larger_number_and_pods_without_go_first() -> None:
    strategy = {"priorityStrategy": {"orderPriority": [{"orderedKey": "a"}, {"orderedKey": "b"}]}}
    pods = [
        a_pod(1, a_set(), b="n-9"),
        a_pod(2, a_set(), a="n-1"),
        a_pod(3, a_set(), a="n-20"),
        a_pod(4, a_set()),
    ]
    assert names(ordering.ordered(pods, strategy)) == ["pod-4", "pod-3", "pod-2", "pod-1"]


def test_scattered_pods_lie_as_far_apart_as_can_be() -> None:
    pods = [a_pod(i, a_set(), kind="a" if i < 3 else "b") for i in range(7)]
    order = names(ordering.scattered(pods, [{"key": "kind", "value": "a"}]))
    places = [order.index(f"pod-{i}") for i in range(3)]
    assert places == [0, 3, 6]


@given(st.lists(st.sampled_from("abc"), max_size=9))
def test_scattering_keeps_every_pod_once(kinds: list[str]) -> None:
    pods = [a_pod(i, a_set(), kind=kind) for i, kind in enumerate(kinds)]
    assert sorted(names(ordering.scattered(pods, [{"key": "kind", "value": "*"}]))) == sorted(names(pods))
