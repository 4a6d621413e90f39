"""Logs and API events as PodEvents."""

from __future__ import annotations

from typing import Any

import pytest

from harness.upgrade.evidence import Evidence, parse_event, parse_log, told
from tests.upgrade.fakes import Answer, FakeApi, refusal

STAMP = "2023-11-14T22:13:20.123456789Z"
AT = 1_700_000_000.123456


def test_a_json_line_becomes_an_event_of_its_name_at_its_own_time() -> None:
    (event,) = parse_log(f'{STAMP} {{"time": 1700000000.5, "event": "commit", "fds": 2}}\n', "mesh-2")
    assert (event.at, event.source, event.reason, event.message) == (
        1700000000.5,
        "sidecar",
        "commit",
        '{"fds": 2}',
    )


@pytest.mark.parametrize(
    "text",
    ["listening on 9091", '{"level": "info"}', "[1, 2]", '{"event": 7}', "17", ""],
)
def test_any_other_line_is_kept_with_the_time_at_which_it_was_taken(text: str) -> None:
    (event,) = parse_log(f"{STAMP} {text}\n", "mesh-2")
    assert event.at == pytest.approx(AT)
    assert (event.reason, event.message) == ("log", text)


@pytest.mark.parametrize("time", ['"noon"', "NaN", "null", "true"])
def test_a_line_with_a_time_that_is_none_keeps_that_of_its_taking(time: str) -> None:
    (event,) = parse_log(f'{STAMP} {{"time": {time}, "event": "started"}}\n', "mesh-2")
    assert event.at == pytest.approx(AT)
    assert event.reason == "started"


def test_a_line_that_was_cut_at_its_front_is_left_out() -> None:
    assert parse_log(f"rest of a line\n{STAMP} whole\n", "mesh-2")[0].message == "whole"


@pytest.mark.parametrize(
    ("times", "at"),
    [
        (
            {"lastTimestamp": "2023-11-14T22:13:21Z", "firstTimestamp": "2023-11-14T22:13:20Z"},
            1_700_000_001.0,
        ),
        ({"lastTimestamp": None, "eventTime": "2023-11-14T22:13:20.250000Z"}, 1_700_000_000.25),
        ({"series": {"lastObservedTime": "2023-11-14T22:13:29.000000Z"}}, 1_700_000_009.0),
        ({}, 1_700_000_000.0),
    ],
)
def test_an_api_event_is_placed_at_its_last_occurrence(times: dict[str, Any], at: float) -> None:
    event = parse_event({"metadata": {"creationTimestamp": "2023-11-14T22:13:20Z"}, "reason": "X", **times})
    assert event.at == at


def test_events_of_the_kubelet_name_their_container_and_others_come_from_controllers() -> None:
    about = {"fieldPath": "spec.containers{mesh-1}"}
    kubelet = parse_event({"metadata": {}, "source": {"component": "kubelet"}, "involvedObject": about})
    other = parse_event({"metadata": {}, "source": {"component": "sidecarset-controller"}})
    assert (kubelet.source, kubelet.container) == ("kubelet", "mesh-1")
    assert (other.source, other.container) == ("controller", None)


def logs(text: str) -> FakeApi:
    def answer(method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        if path.endswith("/events"):
            return 200, {"items": []}
        if path.endswith("/pods/pod-1"):
            return 200, {"spec": {"containers": [{"name": "app"}, {"name": "mesh-1"}]}}
        return (
            refusal(400, "previous terminated container not found")
            if "previous" in query_of(query)
            else (200, text)
        )

    return FakeApi(answer)


def query_of(query: dict[str, str]) -> set[str]:
    return {key for key, value in query.items() if value.lower() == "true"}


def test_each_line_is_told_once_and_lines_of_before_are_not() -> None:
    early = "2023-11-14T22:13:10Z early\n"
    evidence = Evidence(logs(f"{early}{STAMP} now\n"), "run")
    assert [e.message for e in evidence.new("pod-1", ["mesh-1"], AT, AT + 1)] == ["now"]
    assert evidence.new("pod-1", ["mesh-1"], AT, AT + 2) == []
    assert [e.message for e in evidence.all("pod-1", ["mesh-1"], AT)] == ["early", "now"]


def test_a_log_that_cannot_be_read_is_an_event_that_says_so() -> None:
    evidence = Evidence(FakeApi(lambda *_: refusal(500, "no route to node")), "run")
    found = evidence.new("pod-1", ["mesh-1"], AT, AT)
    assert [(e.reason, e.message) for e in found] == [
        ("EventsUnreadable", "500 no route to node"),
        ("LogUnreadable", "500 no route to node"),
    ]


def test_the_last_words_are_few_and_in_order() -> None:
    lines = "".join(f"2023-11-14T22:13:{second:02}Z line {second}\n" for second in range(20, 40))
    said = told(parse_log(lines, "mesh-1"), "pod-1", ["mesh-1"])
    assert said[:2] == ["  pod-1, events: none", "  pod-1, log of mesh-1:"]
    assert [text.rsplit(" ", 1)[-1] for text in said[2:]] == ["34", "35", "36", "37", "38", "39"]
