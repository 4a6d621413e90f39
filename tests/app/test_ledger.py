import json
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from app.ledger import Executed, Ledger, parse
from harness.record.ledger import AppLedger

sequences = st.lists(st.integers(1, 30), max_size=60)


def numbers(ranges: list[list[int]]) -> list[int]:
    return [number for first, last in ranges for number in range(first, last + 1)]


@given(sequences)
def test_every_execution_is_counted_in_whatever_order_it_comes(order: list[int]) -> None:
    executed = Executed()
    for sequence in order:
        executed.add(sequence)
    times = Counter(order)
    assert numbers(executed.ranges) == sorted(times)
    assert executed.times == {sequence: count for sequence, count in times.items() if count > 1}


@given(sequences)
def test_ranges_are_sorted_and_leave_a_gap_between_each_other(order: list[int]) -> None:
    executed = Executed()
    for sequence in order:
        executed.add(sequence)
    assert all(first <= last for first, last in executed.ranges)
    assert all(
        left[1] + 1 < right[0] for left, right in zip(executed.ranges, executed.ranges[1:], strict=False)
    )


def test_a_million_requests_in_order_are_one_range() -> None:
    executed = Executed()
    for sequence in range(1, 1_000_001):
        executed.add(sequence)
    assert executed.ranges == [[1, 1_000_000]]


def test_the_sequence_follows_the_last_hyphen() -> None:
    assert parse("loadgen-worker-0.keep-alive.3-17") == ("loadgen-worker-0.keep-alive.3", 17)


def test_an_id_of_another_form_is_nobodys() -> None:
    assert [parse(text) for text in ("", "-1", "a", "a-", "a-x", "a-1x", "a-\u0661")] == [None] * 7


def test_the_document_is_what_the_harness_reads() -> None:
    ledger = Ledger("pod-1")
    for request_id in ("a.b-1", "a.b-2", "a.b-2", "a.b-4", "c-1", "nobody"):
        ledger.record(request_id)
    read = AppLedger.model_validate(ledger.document())
    assert read == AppLedger(
        pod="pod-1", executed={"a.b": [(1, 2), (4, 4)], "c": [(1, 1)]}, duplicated={"a.b": [(2, 2)]}
    )


def test_a_ledger_that_was_kept_goes_on_where_it_was() -> None:
    before = Ledger("pod-1")
    for request_id in ("a-1", "a-2", "a-2", "b-7"):
        before.record(request_id)
    after = Ledger("pod-1")
    after.restore(json.loads(json.dumps(before.document())))
    after.record("a-3")
    assert after.document() == {
        "pod": "pod-1",
        "executed": {"a": [[1, 3]], "b": [[7, 7]]},
        "duplicated": {"a": [(2, 2)]},
    }
