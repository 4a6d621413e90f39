"""Kruise: where it comes from, what is rewritten in it, and in which order it comes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from harness.cluster import kruise
from harness.cluster.kruise import Source, rewritten
from harness.errors import ClusterError, InputError, Timeout
from tests.upgrade.fakes import Answer, FakeApi, FakeTime

CHART = """
{apiVersion: apps/v1, kind: Deployment, metadata: {name: manager}}
---
{apiVersion: batch/v1, kind: Job, metadata: {name: hook, annotations: {helm.sh/hook: pre-delete}}}
---
{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, metadata: {name: w}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: s}}
---
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: c}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: n}}
"""
INDEX = "entries: {kruise: [{version: 1.9.0}, {version: 1.8.2}]}"


def test_the_chart_is_rendered_by_helm_from_the_repository_or_from_a_file() -> None:
    commands: list[list[str]] = []

    def execute(command: Sequence[str]) -> str:
        commands.append(list(command))
        return CHART

    Source().render(execute)
    Source(chart=Path("kruise.tgz")).render(execute)
    start, end = ["helm", "template", "kruise"], ["--include-crds", "--namespace", "kruise-system"]
    assert commands == [
        [*start, "kruise", "--repo", kruise.REPOSITORY, "--version", "1.9.0", *end],
        [*start, "kruise.tgz", *end],
    ]


def test_what_others_need_comes_first_and_webhooks_last_and_helms_hooks_do_not_come(tmp_path: Path) -> None:
    manifests = tmp_path / "k.yaml"
    manifests.write_text(CHART)
    source = Source(manifests=manifests)
    assert not source.needs_helm()
    kinds = [one["kind"] for one in source.render(lambda _: "")]
    assert kinds == [
        "Namespace",
        "CustomResourceDefinition",
        "ServiceAccount",
        "Deployment",
        "MutatingWebhookConfiguration",
    ]


@pytest.mark.parametrize(
    ("text", "what"), [("a: [", "not YAML"), ("kind: Pod\nmetadata: {}\n", "no CustomResource")]
)
def test_what_is_no_kruise_is_refused(tmp_path: Path, text: str, what: str) -> None:
    manifests = tmp_path / "k.yaml"
    manifests.write_text(text)
    with pytest.raises(InputError, match=what):
        Source(manifests=manifests).render(lambda _: "")


def test_a_version_that_the_repository_lacks_is_refused_with_those_that_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = SimpleNamespace(text=INDEX, raise_for_status=lambda: None)
    monkeypatch.setattr(requests, "get", lambda *_, **__: answer)
    Source(version="1.8.2").check()
    with pytest.raises(
        InputError, match=r"--kruise-version 1.9.7: the repository .* has 1.9.0, 1.8.2; name one"
    ):
        Source(version="1.9.7").check()


def test_without_the_repository_the_ways_around_it_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise requests.ConnectionError("no route")

    monkeypatch.setattr(requests, "get", unreachable)
    with pytest.raises(
        ClusterError, match=r"cannot be read .no route.; give --kruise-chart or --kruise-manifests"
    ):
        Source().check()


def test_files_that_are_not_there_are_refused() -> None:
    with pytest.raises(InputError, match="--kruise-chart /nowhere: no such file"):
        Source(chart=Path("/nowhere")).check()
    with pytest.raises(InputError, match="--kruise-manifests /nowhere: no such file"):
        Source(manifests=Path("/nowhere")).check()


MANAGER = {
    "kind": "Deployment",
    "metadata": {"name": "manager", "labels": {"a": "b"}},
    "spec": {
        "replicas": 1,
        "template": {"spec": {"containers": [{"name": "m", "image": "k:v1", "imagePullPolicy": "Always"}]}},
    },
}


def rewrite(**options: Any) -> dict[str, Any]:
    given = {"labels": {"run": "1"}, "annotations": {"owner": "me"}, "image": None, "images_loaded": False}
    (made,) = rewritten([MANAGER], **{**given, **options})
    return made


def test_objects_carry_the_marks_of_the_run_and_keep_their_own() -> None:
    made = rewrite()
    assert made["metadata"]["labels"] == {"a": "b", "run": "1"}
    assert made["metadata"]["annotations"] == {"owner": "me"}
    assert made["spec"] == MANAGER["spec"]


def test_images_that_were_loaded_are_not_pulled() -> None:
    (container,) = rewrite(images_loaded=True)["spec"]["template"]["spec"]["containers"]
    assert container == {"name": "m", "image": "k:v1", "imagePullPolicy": "IfNotPresent"}


def test_the_managers_image_may_be_another() -> None:
    (container,) = rewrite(image="mirror/k:v1")["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["imagePullPolicy"]) == ("mirror/k:v1", "Always")


@pytest.mark.parametrize("comes", [True, False])
def test_kruise_waits_for_kube_proxy_and_coredns(comes: bool) -> None:
    time, asked = FakeTime(), 0

    def answer(method: str, path: str, *_: object) -> Answer:
        nonlocal asked
        asked += 1
        ready = 1 if comes and asked > 4 else 0
        if path.endswith("daemonsets"):
            status = {"desiredNumberScheduled": 1, "numberReady": ready}
            status |= {"currentNumberScheduled": 1, "numberMisscheduled": 0}
            item: dict[str, Any] = {"metadata": {"name": "kube-proxy"}, "status": status}
        else:
            item = {"metadata": {"name": "coredns"}, "status": {"availableReplicas": ready}}
        return 200, {"items": [{**item, "spec": {"selector": {}, "template": {}}}]}

    if comes:
        kruise.await_system(FakeApi(answer), time.clock)
        assert asked > 4
    else:
        with pytest.raises(Timeout, match="kube-proxy and CoreDNS did not come up within 180 s"):
            kruise.await_system(FakeApi(answer), time.clock)


def test_a_command_that_fails_is_told_by_its_last_line() -> None:
    with pytest.raises(ClusterError, match="sh -c failed: no chart"):
        kruise.execute(["sh", "-c", "echo first >&2; echo no chart >&2; exit 3"])
    with pytest.raises(ClusterError, match="/nowhere/helm"):
        kruise.execute(["/nowhere/helm"])
