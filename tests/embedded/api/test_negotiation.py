from __future__ import annotations

import pytest

from harness.embedded.api.negotiation import Wanted, options, parsed, wanted
from harness.embedded.api.paths import Target, target
from harness.embedded.seams import ApiError

OLDER_TABLE = "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
TABLE = f"application/json;as=Table;v=v1;g=meta.k8s.io,{OLDER_TABLE}"
GROUPS = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList,application/json"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", Wanted()),
        ("*/*", Wanted()),
        ("application/json, */*", Wanted()),
        ("application/vnd.kubernetes.protobuf,application/json", Wanted()),
        (TABLE, Wanted("table")),
        (OLDER_TABLE, Wanted()),
        ("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", Wanted("metadata")),
        (GROUPS.format("v2"), Wanted("object", "v2")),
        (GROUPS.format("v2beta1"), Wanted("object", "v2beta1")),
        (GROUPS.format("v9"), Wanted()),
        ("application/yaml,*/*;q=0.1", Wanted()),
    ],
)
def test_the_first_form_that_can_be_served_is(accept: str, expected: Wanted) -> None:
    assert wanted(accept) == expected


def test_a_client_that_takes_nothing_that_can_be_served_is_refused() -> None:
    with pytest.raises(ApiError) as caught:
        wanted("application/vnd.kubernetes.protobuf")
    assert caught.value.code == 406


def test_bodies_are_json() -> None:
    assert parsed(b'{"a": 1}', "application/json; charset=utf-8") == {"a": 1}
    assert parsed(b"[]", "application/json-patch+json") == []
    for body, media_type, code in (
        (b"{", "application/json", 400),
        (b"k8s", "application/vnd.kubernetes.protobuf", 415),
        (b"a: 1", "application/yaml", 415),
    ):
        with pytest.raises(ApiError) as caught:
            parsed(body, media_type)
        assert caught.value.code == code


def test_options_come_from_the_query_and_the_body() -> None:
    read = options({"dryRun": "All", "gracePeriodSeconds": "3", "fieldManager": "me"})
    assert (read.dry_run, read.grace_s, read.raw) == (True, 3, {"fieldManager": "me", "dryRun": ["All"]})
    body = {
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": "u", "resourceVersion": "7"},
        "orphanDependents": True,
    }
    read = options({"gracePeriodSeconds": "3"}, body)
    assert (read.grace_s, read.uid, read.resource_version, read.propagation) == (0, "u", "7", "Orphan")
    for wrong in ({"dryRun": "Some"}, {"gracePeriodSeconds": "soon"}, {"propagationPolicy": "Sideways"}):
        with pytest.raises(ApiError) as caught:
            options(wrong)
        assert caught.value.code == 400


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/pods", Target("", "v1", "pods")),
        ("/api/v1/namespaces", Target("", "v1", "namespaces")),
        ("/api/v1/namespaces/n", Target("", "v1", "namespaces", "", "n")),
        ("/api/v1/namespaces/n/finalize", Target("", "v1", "namespaces", "", "n", "finalize")),
        ("/api/v1/namespaces/n/pods", Target("", "v1", "pods", "n")),
        ("/api/v1/namespaces/n/pods/p/log", Target("", "v1", "pods", "n", "p", "log")),
        ("/api/v1/namespaces/n/pods/p:80/proxy/", Target("", "v1", "pods", "n", "p:80", "proxy")),
        (
            "/api/v1/namespaces/n/pods/p/proxy/a%2Fb//c/",
            Target("", "v1", "pods", "n", "p", "proxy", "a%2Fb//c/"),
        ),
        (
            "/apis/apps/v1/namespaces/n/deployments/d/scale",
            Target("apps", "v1", "deployments", "n", "d", "scale"),
        ),
        ("/apis/g.io/v1/things/a%3Ab/status", Target("g.io", "v1", "things", "", "a:b", "status")),
        ("/api", None),
        ("/api/v1", None),
        ("/apis/apps/v1", None),
        ("/healthz", None),
    ],
)
def test_a_path_names_a_target(path: str, expected: Target | None) -> None:
    assert target(path) == expected
