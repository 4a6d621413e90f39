"""A workload of the user's own: found as it is, refused when an upgrade would reach further than it."""

from __future__ import annotations

from typing import Any

import pytest

from harness import target
from harness.errors import InputError
from harness.manifest import Subject
from harness.target import UserWorkload, find, parse
from harness.upgrade import sidecarset
from tests.site import SITE
from tests.upgrade.fakes import SET, Answer, FakeApi, refusal

SHOP = UserWorkload("deployment", "shop", "team")


def cluster(
    *,
    image: str = "rig/agent:v7",
    pods: tuple[str, ...] = ("shop-1", "shop-2"),
    matched: int = 2,
    selector: dict[str, Any] | None = None,
) -> FakeApi:
    container = {"name": "mesh", "image": image}
    there = {
        "metadata": {"name": "trace"},
        "spec": {"containers": [container]},
        "status": {"matchedPods": matched},
    }
    answers: dict[str, Answer] = {
        f"{SET}/trace": (200, there),
        "/apis/apps/v1/namespaces/team/deployments/shop": (
            200,
            {"spec": {"selector": selector or {"matchLabels": {"app": "shop"}}}},
        ),
        "/api/v1/namespaces/team/pods/shop-1": (200, {"metadata": {"labels": {"app": "shop"}}}),
        "/api/v1/namespaces/team/pods": (200, {"items": [{"metadata": {"name": name}} for name in pods]}),
    }
    return FakeApi(lambda method, path, *_: answers.get(path, refusal(404, "not found", "NotFound")))


@pytest.mark.parametrize("text", ["deployment/shop", "statefulset/shop", "pod/shop"])
def test_a_target_is_a_kind_and_a_name(text: str) -> None:
    kind, _, name = text.partition("/")
    found = parse(text, "team")
    assert (found.kind, found.name, found.namespace) == (kind, name, "team")


@pytest.mark.parametrize("text", ["shop", "daemonset/shop", "deployment/", "deployment/My Shop"])
def test_what_is_no_target_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(InputError, match="deployment/NAME or statefulset/NAME or pod/NAME"):
        parse(text, "team")


def test_the_subject_is_what_the_cluster_has(hot: Subject) -> None:
    found = find(cluster(), SHOP, hot)
    assert (found.subject.image, found.subject.labels, found.pods) == ("rig/agent:v7", {"app": "shop"}, 2)


def test_a_bare_pod_is_selected_by_its_labels(hot: Subject) -> None:
    found = find(cluster(pods=("shop-1",), matched=1), UserWorkload("pod", "shop-1", "team"), hot)
    assert (found.subject.labels, found.pods) == ({"app": "shop"}, 1)


@pytest.mark.parametrize(
    ("api", "workload", "what"),
    [
        (FakeApi(lambda *_: refusal(404, "not found", "NotFound")), SHOP, "has no SidecarSet trace"),
        (
            cluster(),
            UserWorkload("deployment", "other", "team"),
            "deployment/other in namespace team: not there",
        ),
        (cluster(pods=()), SHOP, "it has no pods"),
        (cluster(matched=5), SHOP, "matches 5 pods, the target has 2"),
        (cluster(), UserWorkload("pod", "shop-1", "team"), "pods shop-2 have the same labels"),
        (cluster(selector={"matchExpressions": [{}]}), SHOP, "matchExpressions"),
    ],
)
def test_what_would_reach_further_or_is_not_there_is_refused(
    hot: Subject, api: FakeApi, workload: UserWorkload, what: str
) -> None:
    with pytest.raises(InputError, match=what):
        find(api, workload, hot)


def test_nothing_of_it_is_made_or_deleted() -> None:
    api = cluster()
    SHOP.start(api, {}, 1, 2)
    SHOP.stop(api, 1)
    assert api.asked == []
    assert target.KINDS == ("deployment", "statefulset", "pod")


def test_its_set_gets_the_image_back_that_it_had_and_keeps_its_marks(hot: Subject) -> None:
    api = cluster(image="rig/agent:v2")
    sidecarset.set_back(api, hot, SITE)
    assert [method for method, *_ in api.asked][-1] == "PUT"
    api = cluster(image=hot.image)
    sidecarset.set_back(api, hot, SITE)
    assert {method for method, *_ in api.asked} == {"GET"}
