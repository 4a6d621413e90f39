from __future__ import annotations

import pytest

from harness.embedded.api.discovery import Discovery
from harness.embedded.api.registry import Registry
from harness.embedded.api.resources import Kind
from harness.embedded.seams import ApiError


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    versions = [
        Kind("g.io", version, "things", "thing", "Thing", namespaced=True, short=("th",), custom=True)
        for version in ("v1alpha1", "v1", "v1beta1", "v2")
    ]
    registry.replace("g.io", "things", versions)
    return registry


def test_the_most_stable_version_of_a_group_comes_first(registry: Registry) -> None:
    assert registry.groups()["g.io"] == ["v2", "v1", "v1beta1", "v1alpha1"]
    assert Discovery(registry).group("g.io")["preferredVersion"]["version"] == "v2"


def test_both_forms_of_discovery_tell_the_same_resources(registry: Registry) -> None:
    discovery = Discovery(registry)
    for core in (True, False):
        for item in discovery.aggregated(core, "v2")["items"]:
            for version in item["versions"]:
                plain = discovery.resources(item["metadata"]["name"] or "", version["version"])["resources"]
                names = [entry["name"] for entry in plain if "/" not in entry["name"]]
                assert names == [entry["resource"] for entry in version["resources"]]
                parts = [entry["name"].partition("/")[2] for entry in plain if "/" in entry["name"]]
                told = [
                    part["subresource"]
                    for entry in version["resources"]
                    for part in entry.get("subresources", ())
                ]
                assert parts == told


def test_openapi_says_that_every_kind_takes_field_validation(registry: Registry) -> None:
    discovery = Discovery(registry)
    assert discovery.openapi_index()["paths"]["apis/g.io/v1"] == {
        "serverRelativeURL": "/openapi/v3/apis/g.io/v1"
    }
    document = discovery.openapi("g.io", "v1", "test")
    operation = document["paths"]["/apis/g.io/v1/namespaces/{namespace}/things/{name}"]["patch"]
    assert "fieldValidation" in [parameter["name"] for parameter in operation["parameters"]]
    assert operation["x-kubernetes-group-version-kind"] == {"group": "g.io", "version": "v1", "kind": "Thing"}


def test_what_is_taken_away_is_no_longer_told(registry: Registry) -> None:
    registry.replace("g.io", "things", ())
    assert "g.io" not in registry.groups()
    with pytest.raises(ApiError):
        Discovery(registry).group("g.io")
    with pytest.raises(ApiError):
        Discovery(registry).resources("g.io", "v1")
