"""`kubectl patch --local` runs the original code without a server: what it makes of a patch has to
come out."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from harness.embedded.api import strategic
from harness.embedded.seams import Object

pytestmark = pytest.mark.integration
KUBECTL_WITHIN_S = 20.0


def deployment() -> Object:
    container = {"name": "a", "image": "1", "ports": [{"containerPort": 1}, {"containerPort": 2}]}
    others = [{"name": "b", "image": "1"}, {"name": "c", "image": "1"}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "finalizers": ["x/1", "x/2"], "labels": {"one": "1", "two": "2"}},
        "spec": {
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
            "template": {
                "spec": {
                    "containers": [container, *others],
                    "volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "hostPath": {"path": "/x"}}],
                    "tolerations": [{"key": "t"}],
                }
            },
        },
    }


def template(**spec: object) -> Object:
    return {"spec": {"template": {"spec": spec}}}


PATCHES: list[Object] = [
    template(
        containers=[{"name": "z", "image": "2"}, {"name": "c", "image": "3"}, {"name": "a", "image": None}]
    ),
    template(
        **{"$setElementOrder/containers": [{"name": "c"}, {"name": "z"}, {"name": "a"}]},
        containers=[{"name": "z", "image": "2"}, {"name": "a", "$patch": "delete"}],
    ),
    template(**{"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}]}),
    template(containers=[{"name": "b", "$patch": "delete"}, {"name": "n", "image": "1", "command": None}]),
    template(containers=[{"$patch": "replace"}, {"name": "n", "image": "1"}]),
    template(containers=[{"name": "a", "ports": [{"containerPort": 3}, {"containerPort": 1, "name": "x"}]}]),
    template(volumes=[{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "c"}}]),
    template(tolerations=[{"key": "u"}, {"key": "t"}]),
    {"metadata": {"labels": {"one": None, "three": "3"}, "finalizers": ["x/3", "x/1"]}},
    {"metadata": {"$deleteFromPrimitiveList/finalizers": ["x/1"]}},
    {"metadata": {"$setElementOrder/finalizers": ["x/2", "x/3", "x/1"], "finalizers": ["x/3"]}},
    {"metadata": {"labels": {"$patch": "replace", "z": "1"}}},
    {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}},
]


@pytest.mark.parametrize("change", PATCHES, ids=lambda change: json.dumps(change)[:60])
def test_a_patch_gives_what_kubernetes_own_code_gives(kubectl: str, tmp_path: Path, change: Object) -> None:
    manifest = tmp_path / "deployment.json"
    manifest.write_text(json.dumps(deployment()))
    command = [
        kubectl,
        "patch",
        "--local",
        "-f",
        str(manifest),
        "--type",
        "strategic",
        "-p",
        json.dumps(change),
    ]
    done = subprocess.run(
        [*command, "-o", "json"], capture_output=True, text=True, check=True, timeout=KUBECTL_WITHIN_S
    )
    ours = strategic.merge(deployment(), change, strategic.shape_of("deployments.apps"))
    assert without_empty(ours) == without_empty(json.loads(done.stdout))


def without_empty(value: object) -> object:
    """Go writes fields that are empty by their type's rules; they mean the same as absent ones."""
    if isinstance(value, dict):
        cleaned = {name: without_empty(item) for name, item in value.items()}
        return {name: item for name, item in cleaned.items() if item not in (None, {}, [])}
    if isinstance(value, list):
        return [without_empty(item) for item in value]
    return value
