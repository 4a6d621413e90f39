from __future__ import annotations

from typing import Any

from benchmarks.handover.ledger import BROKEN, TOLD, Client, Executions, reconcile


def a_client(name: str = "keep-alive.0.0", answered: int = 3) -> Client:
    client = Client(name, name.split(".")[0])
    for _ in range(answered):
        client.begin()
        client.answer()
    return client


def executions_of(*requests: str) -> dict[str, Any]:
    executions = Executions()
    for request in requests:
        executions.record(request)
    return executions.document()


def test_a_client_whose_requests_were_all_executed_once_is_clean() -> None:
    total = reconcile([a_client().document()], executions_of(*(f"keep-alive.0.0-{n}" for n in (1, 2, 3))))
    assert total.clean
    assert total.by_traffic == {"keep-alive": 3}


def test_nothing_asked_is_not_clean() -> None:
    assert not reconcile([], executions_of()).clean


def test_a_request_that_was_executed_twice_is_counted() -> None:
    document = a_client(answered=2).document()
    total = reconcile([document], executions_of("keep-alive.0.0-1", "keep-alive.0.0-1", "keep-alive.0.0-2"))
    assert total.duplicated == 1
    assert not total.clean


def test_a_request_that_comes_again_after_a_later_one_is_a_duplicate() -> None:
    total = reconcile([], executions_of("a.0-1", "a.0-2", "a.0-1"))
    assert total.duplicated == 1


def test_an_answer_to_what_was_never_executed_is_counted() -> None:
    document = a_client(answered=3).document()
    total = reconcile([document], executions_of("keep-alive.0.0-1", "keep-alive.0.0-3"))
    assert total.invented == 1
    assert not total.clean


def test_failures_are_counted_by_kind_and_ends_by_how() -> None:
    client = a_client(answered=1)
    client.fail(client.begin(), "status 502")
    client.end(TOLD)
    client.end(BROKEN)  # the first says it
    total = reconcile([client.document()], executions_of("keep-alive.0.0-1"))
    assert total.failed == {"status 502": 1}
    assert total.closed == {TOLD: 1}


def test_a_request_that_neither_was_answered_nor_failed_is_not_forgotten() -> None:
    client = a_client(answered=1)
    client.begin()
    total = reconcile([client.document()], executions_of("keep-alive.0.0-1"))
    assert total.failed == {"unaccounted": 1}


def test_what_is_only_carried_needs_no_execution() -> None:
    assert reconcile([a_client("tcp.0.0").document()], None).clean


def test_requests_without_an_id_are_counted_apart() -> None:
    executions = executions_of("", "", "a.0-1")
    assert executions["unnamed"] == 2
    assert list(executions["clients"]) == ["a.0"]
