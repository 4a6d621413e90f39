"""A cluster that is there already: found by its kubeconfig, looked at before anything is put onto it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client import Configuration

from harness.cluster import preflight
from harness.cluster.current import CurrentCluster
from harness.cluster.preflight import RIGHTS
from harness.cluster.remote import Remote, reach
from harness.errors import InputError
from tests.upgrade.fakes import Answer, FakeApi, refusal

NODE = {
    "metadata": {"name": "n", "labels": {}},
    "spec": {},
    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
}

VERSION = ["major", "minor", "gitVersion", "gitCommit", "gitTreeState"]
VERSION += ["buildDate", "goVersion", "compiler", "platform"]


class Api:
    """A cluster with Kruise, unless a test breaks something."""

    def __init__(self) -> None:
        self.denied: set[str] = set()
        self.served = ["v1alpha1", "v1beta1"]
        self.broken: dict[str, Answer] = {}
        self.node = NODE
        self.made: list[str] = []

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        if path in self.broken:
            return self.broken[path]
        if path.endswith("selfsubjectaccessreviews"):
            asked = body["spec"]["resourceAttributes"]
            right = f"{asked['verb']} {asked['resource']}"
            return 201, {"spec": {}, "status": {"allowed": right not in self.denied}}
        if path == "/version/":
            return 200, dict.fromkeys(VERSION, "x")
        if path == "/api/v1/nodes":
            return 200, {"items": [self.node]}
        if path.endswith("sidecarsets.apps.kruise.io"):
            names = {"kind": "SidecarSet", "plural": "sidecarsets"}
            versions = [{"name": name, "served": True, "storage": True} for name in self.served]
            spec = {"group": "apps.kruise.io", "names": names, "scope": "Cluster", "versions": versions}
            return 200, {"spec": spec}
        if method == "POST":
            if query.get("dryRun") != "All":
                self.made.append(path)
            return 201, {**body, "metadata": {"annotations": {"kruise.io/sidecarset-hash": "h"}}}
        return refusal(404, path, "NotFound")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    made = Api()
    monkeypatch.setattr(Remote, "client", lambda _: FakeApi(made.answer))
    return made


REMOTE = Remote(Configuration(host="http://fake"), "lab")


def refused() -> str:
    with pytest.raises(InputError) as caught:
        preflight.check(REMOTE)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_sound_cluster_is_accepted_and_nothing_is_made_on_it(api: Api) -> None:
    offer = preflight.check(REMOTE)
    assert (offer.features, offer.upgrades_per_pod) == (frozenset({"services"}), 3)
    assert api.made == []


def test_every_missing_right_is_named(api: Api) -> None:
    api.denied = {"create pods", "delete namespaces", "update sidecarsets"}
    said = refused()
    assert "context lab may not" in said
    assert all(
        right in said for right in ("create pods", "delete namespaces", "update sidecarsets.apps.kruise.io")
    )
    assert "list nodes" not in said


def test_the_rights_that_are_asked_for_are_those_of_a_run() -> None:
    assert "create sidecarsets.apps.kruise.io" in map(str, RIGHTS)
    assert "get pods/log" in map(str, RIGHTS)
    assert len(set(RIGHTS)) == len(RIGHTS)


def test_without_kruise_the_command_that_installs_it_is_told(api: Api) -> None:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/sidecarsets.apps.kruise.io"
    api.broken[path] = refusal(404, "not found", "NotFound")
    assert "Kruise is not installed" in (said := refused())
    assert "helm install kruise openkruise/kruise --version 1.9.0" in said


def test_a_kruise_that_serves_other_versions_is_told_with_those_it_has(api: Api) -> None:
    api.served = ["v1", "v1beta1"]
    assert "Kruise serves SidecarSets as v1, v1beta1, not v1alpha1" in refused()


def test_webhooks_that_do_not_answer_are_found_before_a_run(api: Api) -> None:
    path = "/apis/apps.kruise.io/v1alpha1/sidecarsets"
    api.broken[path] = refusal(500, "failed calling webhook: no endpoints", "InternalError")
    assert "Kruise's webhooks do not answer (500 failed calling webhook: no endpoints)" in refused()


@pytest.mark.parametrize(
    "change",
    [{"spec": {"unschedulable": True}}, {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}],
)
def test_a_cluster_without_a_node_to_run_on_is_refused(api: Api, change: dict[str, Any]) -> None:
    api.node = {**NODE, **change}
    assert "none of 1 nodes is ready and schedulable" in refused()


def test_an_api_that_refuses_the_user_or_does_not_answer_is_told_with_the_context(api: Api) -> None:
    api.broken["/version/"] = refusal(401, "Unauthorized", "Unauthorized")
    assert "401 Unauthorized; does context lab have valid credentials?" in refused()


@pytest.mark.parametrize(("backoff", "per_pod"), [("false", None), ("true", 3)])
def test_an_embedded_cluster_says_what_it_lacks(api: Api, backoff: str, per_pod: int | None) -> None:
    labels = {"hotupgrade/cluster": "embedded", "hotupgrade/kubelet-backoff": backoff}
    api.node = {**NODE, "metadata": {"name": "n", "labels": labels}}
    offer = preflight.check(REMOTE)
    assert (offer.features, offer.upgrades_per_pod) == (frozenset(), per_pod)


def kubeconfig(folder: Path, *names: str, **cluster: Any) -> Path:
    path = folder / "config"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": names[0],
        "contexts": [{"name": name, "context": {"cluster": "c", "user": "u"}} for name in names],
        "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1:6443", **cluster}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    path.write_text(yaml.safe_dump(document))
    return path


def test_a_context_is_the_current_one_unless_it_is_named(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, "staging", "production")
    assert reach(path, None).context == "staging"
    assert reach(path, "production").context == "production"
    with pytest.raises(InputError, match=r"--context productoin: .* has production; name one of them"):
        reach(path, "productoin")


def test_certificates_are_verified_and_a_kubeconfig_that_turns_that_off_is_told_in_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    careful = reach(kubeconfig(tmp_path, "a"), None)
    careless = reach(kubeconfig(tmp_path, "a", **{"insecure-skip-tls-verify": True}), None)
    assert careful.configuration.verify_ssl
    api = Api()
    api.broken["/apis/apps/v1/namespaces/kruise-system/deployments"] = (200, {"items": []})
    monkeypatch.setattr(Remote, "client", lambda _: FakeApi(api.answer))
    assert careful.info("current", []).notes == []
    assert "verification of the API server's certificate off" in careless.info("current", []).notes[0]


@pytest.mark.parametrize("text", [None, "", "a: [", "kind: Config\n"])
def test_a_kubeconfig_that_is_none_is_refused_in_one_line(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "config"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError) as caught:
        CurrentCluster(kubeconfig=path, context=None)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
