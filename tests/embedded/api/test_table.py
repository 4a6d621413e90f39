from __future__ import annotations

from typing import Any

import pytest

from harness.embedded.api.crd import column_value
from harness.embedded.api.pod_table import state
from harness.embedded.api.registry import Registry
from harness.embedded.api.resources import BUILT_IN, Column, Kind
from harness.embedded.api.table import columns_and_cells, short_duration, table
from harness.embedded.seams import Object


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-0.5, "0s"),
        (-5, "<invalid>"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (330, "5m30s"),
        (600, "10m"),
        (10799, "179m"),
        (11100, "3h5m"),
        (8 * 3600, "8h"),
        (3 * 86400, "3d"),
        (3 * 86400 + 7200, "3d2h"),
        (30 * 86400, "30d"),
        (3 * 365 * 86400, "3y"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_durations_are_short_as_kubectl_has_them(seconds: float, text: str) -> None:
    assert short_duration(seconds) == text


def pod(*states: Object, ready: bool = True, phase: str = "Running", **metadata: Any) -> Object:
    statuses = [
        {"name": f"c{i}", "state": item, "ready": ready and "running" in item}
        for i, item in enumerate(states)
    ]
    return {
        "metadata": {"name": "p", **metadata},
        "spec": {"containers": [{"name": f"c{i}"} for i in range(len(states))]},
        "status": {"phase": phase, "containerStatuses": statuses},
    }


RUNNING: Object = {"running": {}}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (pod(RUNNING), "Running"),
        (pod({"waiting": {"reason": "ContainerCreating"}}, phase="Pending"), "ContainerCreating"),
        (pod(RUNNING, {"waiting": {"reason": "CrashLoopBackOff"}}), "CrashLoopBackOff"),
        (pod({"terminated": {"reason": "Error", "exitCode": 1}}), "Error"),
        (pod({"terminated": {"exitCode": 3}}), "ExitCode:3"),
        (pod({"terminated": {"signal": 9}}), "Signal:9"),
        (pod({"terminated": {"reason": "Completed"}}, RUNNING), "NotReady"),
        (pod(RUNNING, deletionTimestamp="2026-01-01T00:00:00Z"), "Terminating"),
        (pod(phase="Pending"), "Pending"),
    ],
)
def test_one_word_says_what_a_pod_does(body: Object, expected: str) -> None:
    assert state(body) == expected


def test_a_pod_that_initialises_says_how_far_it_is() -> None:
    body = pod({"waiting": {"reason": "PodInitializing"}}, phase="Pending")
    body["spec"]["initContainers"] = [{"name": "i0"}, {"name": "i1"}]
    body["status"]["initContainerStatuses"] = [
        {"name": "i0", "state": {"terminated": {"exitCode": 0}}},
        {"name": "i1", "state": {"running": {}}},
    ]
    assert state(body) == "Init:1/2"
    body["status"]["initContainerStatuses"][1]["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}
    assert state(body) == "Init:CrashLoopBackOff"


def test_a_pods_row_counts_ready_containers_and_restarts() -> None:
    body = pod(RUNNING, {"waiting": {"reason": "Error"}})
    body["status"]["containerStatuses"][0] |= {"restartCount": 2}
    kind = Registry().find("", "v1", "pods")
    row = table(kind, [body], "7")["rows"][0]
    assert row["cells"][:4] == ["p", "1/2", "Error", "2"]
    assert row["object"] == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"name": "p"},
    }


@pytest.mark.parametrize("kind", BUILT_IN, ids=lambda kind: kind.plural)
def test_every_kind_fills_as_many_cells_as_it_has_columns(kind: Kind) -> None:
    columns, cells = columns_and_cells(kind)
    assert len(cells({"metadata": {"name": "x"}, "spec": {}})) == len(columns)


def test_custom_columns_take_their_values_from_the_object() -> None:
    columns = (Column("MATCHED", "integer", path=".status.matchedPods"), Column("Who", path=".spec.names[1]"))
    kind = Kind("g.io", "v1", "things", "thing", "Thing", namespaced=False, custom=True, columns=columns)
    body = {"metadata": {"name": "t"}, "status": {"matchedPods": 3}, "spec": {"names": ["a", "b"]}}
    assert table(kind, [body], "1")["rows"][0]["cells"] == ["t", 3, "b"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".status.phase", "Up"),
        ('.status.conditions[?(@.type=="Ready")].status', "True"),
        (".status.conditions[0].type", "Ready"),
        (".metadata.labels['a.b/c']", "x"),
        (".spec.missing.deeper", None),
        (".status.conditions[7].type", None),
        ("nonsense", None),
    ],
)
def test_a_json_path_finds_its_value_or_nothing(path: str, expected: str | None) -> None:
    conditions = [{"type": "Ready", "status": "True"}]
    body = {
        "metadata": {"labels": {"a.b/c": "x"}},
        "spec": {},
        "status": {"phase": "Up", "conditions": conditions},
    }
    assert column_value(body, path) == expected
