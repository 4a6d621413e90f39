from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.embedded.api.selectors import Selector, label_selector_matches
from harness.embedded.seams import ApiError, Object


def pod(labels: dict[str, str], **status: str) -> Object:
    return {
        "metadata": {"name": "web", "namespace": "ns", "labels": labels},
        "spec": {"nodeName": "n1"},
        "status": status,
    }


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app=db", False),
        ("app!=db", True),
        ("absent!=x", True),
        ("app", True),
        ("absent", False),
        ("!absent", True),
        ("!app", False),
        ("app in (web,db)", True),
        ("app in (db)", False),
        ("app notin (web)", False),
        ("absent notin (web)", True),
        ("app=web,tier=front", True),
        ("app=web, tier in (back)", False),
        ("app in (web, db),tier", True),
        ("example.com/part=", True),
    ],
)
def test_label_selectors_match_as_in_kubernetes(selector: str, *, expected: bool) -> None:
    labels = {"app": "web", "tier": "front", "example.com/part": ""}
    assert Selector("pods", labels=selector).matches(pod(labels)) is expected


@pytest.mark.parametrize("selector", ["app=web=x", "app in web", "=x", "a,,b", "app in (a", "!a=b"])
def test_a_label_selector_that_cannot_be_read_is_refused(selector: str) -> None:
    with pytest.raises(ApiError, match="label selector") as caught:
        Selector("pods", labels=selector)
    assert caught.value.code == 400


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("metadata.name=web", True),
        ("metadata.name!=web", False),
        ("metadata.namespace=ns,status.phase=Running", True),
        ("status.phase!=Succeeded,status.phase!=Failed", True),
        ("spec.nodeName=n1", True),
        ("spec.nodeName==n2", False),
        ("status.podIP=", True),
    ],
)
def test_field_selectors_match(selector: str, *, expected: bool) -> None:
    assert Selector("pods", fields=selector).matches(pod({}, phase="Running")) is expected


def test_a_field_that_cannot_be_selected_by_is_refused() -> None:
    with pytest.raises(ApiError, match=r"field label not supported: spec\.hostname"):
        Selector("pods", fields="spec.hostname=x")
    with pytest.raises(ApiError, match=r"not supported: status\.phase"):
        Selector("sidecarsets.apps.kruise.io", fields="status.phase=x")


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (None, True),
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "db"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "x", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}, True),
    ],
)
def test_selector_objects_match(selector: Object | None, *, expected: bool) -> None:
    assert label_selector_matches(selector, {"app": "web"}) is expected


Labels = st.dictionaries(st.sampled_from(["a", "b.c/d", "e"]), st.sampled_from(["", "x", "y-1"]))


@given(Labels, Labels)
def test_an_equality_selector_selects_exactly_the_supersets(
    wanted: dict[str, str], labels: dict[str, str]
) -> None:
    text = ",".join(f"{key}={value}" for key, value in wanted.items())
    assert Selector("pods", labels=text).matches(pod(labels)) is (wanted.items() <= labels.items())
