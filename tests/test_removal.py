"""What killed runs left is found by its marks, told from what still lives, and removed in an order that lets go."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import ClusterError
from harness.leftovers import sort_out
from harness.removal import KINDS, Marked, marked, remove
from harness.site import MANAGED_BY, OWNER, RUN_LABEL
from tests.upgrade.fakes import Answer, FakeApi, refusal

PATHS = {
    "MutatingWebhookConfiguration": "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    "ValidatingWebhookConfiguration": "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
    "SidecarSet": "/apis/apps.kruise.io/v1alpha1/sidecarsets",
    "Namespace": "/api/v1/namespaces",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
}


class Objects:
    """A cluster of marked objects. What `lingers` is there once more after it was deleted."""

    def __init__(self, *names: str, lingers: str = "") -> None:
        self.there = {
            f"{PATHS[kind]}/{name}": name for kind, _, name in (one.partition("/") for one in names)
        }
        self.lingers, self.deleted = lingers, []  # type: tuple[str, list[str]]
        self.selectors: set[str] = set()
        self.api = FakeApi(self.answer)

    def answer(self, method: str, path: str, query: dict[str, str], _: Any) -> Answer:
        if method == "GET":
            self.selectors.add(query["labelSelector"])
            return self._list(path)
        if path not in self.there:
            return refusal(404, "not found", "NotFound")
        self.deleted.append(self.there[path])
        if self.there[path] == self.lingers:
            self.lingers = ""
        else:
            del self.there[path]
        return 200, {}

    def _list(self, path: str) -> Answer:
        if path == PATHS["SidecarSet"] and not any(one.startswith(path) for one in self.there):
            return refusal(404, "no such kind", "NotFound")
        metadata = {"labels": {RUN_LABEL: "7"}, "annotations": {OWNER: "host/1/1"}}
        items = [
            {"metadata": {"name": name, **metadata}, "webhooks": []}
            for one, name in self.there.items()
            if one.rpartition("/")[0] == path
        ]
        return 200, {"items": items}


ALL = (
    "CustomResourceDefinition/c",
    "ClusterRole/r",
    "Namespace/n",
    "SidecarSet/s",
    "MutatingWebhookConfiguration/w",
)


def test_what_carries_marks_is_found_of_every_kind() -> None:
    objects = Objects("Namespace/n", "SidecarSet/s", "ClusterRole/r")
    found = marked(objects.api)
    assert [str(one) for one in found] == ["SidecarSet s", "Namespace n", "ClusterRole r"]
    assert {(one.run, one.owner) for one in found} == {("7", "host/1/1")}
    assert objects.selectors == {f"{MANAGED_BY}=hotupgrade,{RUN_LABEL}"}


def test_the_objects_of_one_run_are_asked_for_by_it() -> None:
    objects = Objects("Namespace/n")
    marked(objects.api, "7")
    assert objects.selectors == {f"{MANAGED_BY}=hotupgrade,{RUN_LABEL}=7"}


def test_a_cluster_without_sidecarsets_has_none() -> None:
    assert marked(Objects().api) == []


def test_what_may_not_be_listed_is_nothing_of_a_run() -> None:
    objects = Objects("Namespace/n")

    def answer(method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        if path == PATHS["ClusterRole"]:
            return refusal(403, "you may not", "Forbidden")
        return objects.answer(method, path, query, body)

    assert [str(one) for one in marked(FakeApi(answer))] == ["Namespace n"]


def test_webhooks_go_first_and_their_definitions_last() -> None:
    objects = Objects(*ALL)
    remove(objects.api, [_marked(one) for one in ALL])
    assert objects.deleted == ["w", "s", "n", "r", "c"]
    assert objects.there == {}


def test_removing_waits_until_an_object_is_gone() -> None:
    objects = Objects("Namespace/n", "ClusterRole/r", lingers="n")
    remove(objects.api, [_marked("Namespace/n"), _marked("ClusterRole/r")])
    assert objects.deleted == ["n", "n", "r"]


def test_a_refusal_is_told_with_the_object() -> None:
    api = FakeApi(lambda *_: refusal(403, "you may not", "Forbidden"))
    with pytest.raises(ClusterError, match="cannot delete Namespace n: 403 you may not"):
        remove(api, [_marked("Namespace/n")])


def test_every_kind_has_its_place_in_the_order() -> None:
    assert [kind.name for kind in KINDS] == list(PATHS)


def _marked(text: str, run: str = "7", owner: str = "") -> Marked:
    kind, _, name = text.partition("/")
    return Marked(kind, name, run, owner)


ALIVE = {"here/1/1": True, "here/2/2": False, "there/1/1": None}.__getitem__


@pytest.mark.parametrize(
    ("owner", "named", "dead", "told"),
    [
        ("here/2/2", None, True, ""),
        ("here/1/1", None, False, "run 7 still goes on (here/1/1); left alone"),
        ("here/1/1", "7", False, "still goes on"),
        ("there/1/1", None, False, "run 7 was started elsewhere (there/1/1); remove it with --run 7"),
        ("there/1/1", "7", True, ""),
        ("", None, False, "does not say whose it is"),
    ],
)
def test_only_a_run_whose_process_is_gone_has_leftovers(
    owner: str, named: str | None, dead: bool, told: str
) -> None:
    objects = [_marked("Namespace/n", owner=owner), _marked("ClusterRole/r")]
    found = sort_out(objects, named=named, alive=ALIVE)
    assert (found.dead == objects) is dead
    assert told in "".join(found.left)
