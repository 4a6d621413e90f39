import json
import tracemalloc
from typing import Any

import pytest
from harness.record.counts import Counts, each
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from harness.record.ledger import LoadLedger, Slot


def slot(number: int, **fields: Any) -> dict[str, Any]:
    made = {"at": 1000 + number / 10, "class": "post", "pod": "app-0", "sent": 30, "versions": {"v1": 30}}
    latencies = {str(900 + number % 7 + 10 * step): 1 + step % 3 for step in range(25)}
    return {**made, "latency_us": latencies, **fields}


def document(slots: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    client = {"name": '},{"at":1', "class": '"slots":[{', "pod": "app-0", "sent": [(1, 9)], "answered": []}
    failure = {"sequence": 3, "at": 1.0, "ended": 2.0, "kind": "eof", "detail": '{"at": 5}, {"at": 6}'}
    saturation = {"late_fraction": 0, "max_lag_ms": 0, "cpu_fraction": 0}
    made = {"worker": "w", "started": 1.0, "stopped": None, "clients": [{**client, "failures": [failure]}]}
    return {**made, "connections": [], "slots": slots, "saturation": saturation, "sockets": [], **fields}


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\n ", " :\t")])
@pytest.mark.parametrize("count", [0, 1, 2, 999, 1000, 1001, 2500])
def test_a_ledger_read_in_pieces_is_the_ledger_read_at_once(count: int, separators: tuple[str, str]) -> None:
    tricky = {"versions": {'"}],{"at":1,': 2}}
    written = document([slot(number, **tricky) for number in range(count)])
    text = json.dumps(written, separators=separators)
    expected = LoadLedger.model_validate(written)
    assert LoadLedger.model_validate_json(text) == expected
    assert LoadLedger.model_validate_json(text.encode()) == expected


@pytest.mark.parametrize("spoil", [{"sent": "many"}, {"surprise": 1}, {"latency_us": {"1": -1}}])
@pytest.mark.parametrize("where", [0, 1500, 2999])
def test_a_slot_that_is_none_is_refused_wherever_it_stands(where: int, spoil: dict[str, Any]) -> None:
    slots = [slot(number) for number in range(3000)]
    slots[where] |= spoil
    with pytest.raises(ValidationError):
        LoadLedger.model_validate_json(json.dumps(document(slots)))


def test_a_ledger_that_breaks_off_is_refused() -> None:
    text = json.dumps(document([slot(number) for number in range(3000)]))
    with pytest.raises(ValidationError):
        LoadLedger.model_validate_json(text[:-200])
    with pytest.raises(ValidationError):
        LoadLedger.model_validate_json(text[: len(text) // 2])


def test_a_slot_takes_less_than_a_kilobyte() -> None:
    text = json.dumps(document([slot(number) for number in range(5000)])).encode()
    tracemalloc.start()
    try:
        ledger = LoadLedger.model_validate_json(text)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(ledger.slots) == 5000
    assert kept / 5000 < 1000


@given(st.dictionaries(st.integers(0, 2**32 - 1), st.integers(1, 50)))
def test_packed_counts_are_the_mapping_that_they_were_made_of(counts: dict[int, int]) -> None:
    packed = Counts(counts)
    assert packed == counts
    assert dict(packed.items()) == counts
    assert (len(packed), sum(packed.values())) == (len(counts), sum(counts.values()))
    assert sorted(each(counts)) == sorted(value for value, count in counts.items() for _ in range(count))
    assert 2**32 not in packed


def test_counts_are_written_as_they_were_read() -> None:
    adapter = TypeAdapter(Slot)
    read = adapter.validate_python({"at": 1.0, "class": "post", "pod": "app-0", "latency_us": {7: 2, 9: 1}})
    assert json.loads(adapter.dump_json(read, by_alias=True))["latency_us"] == {"7": 2, "9": 1}
