import json
import tracemalloc
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.record.columns import microseconds
from harness.record.series import COUNTS, SLOT_S, Series
from loadtests import series as written
from tests.record.slots import Slot, packed, unpacked

START = 17_673_230_450
"""A slot's number since the epoch."""

counts = st.integers(0, 3)
latencies = st.dictionaries(st.sampled_from([0, 7, 999, 1000, 1010, 250_000]), st.integers(1, 3), max_size=4)
slots = st.builds(
    Slot,
    at=st.integers(START, START + 60).map(lambda number: number / 10),
    traffic_class=st.sampled_from(["post", "stream"]),
    pod=st.sampled_from(["app-0", "app-1"]),
    sent=counts,
    failed=counts,
    ended=counts,
    versions=st.dictionaries(st.sampled_from(["v1", "v2"]), st.integers(1, 3)),
    opened=counts,
    cut=counts,
    latency_us=latencies,
)
runs = st.lists(slots, unique_by=lambda slot: (slot.at, slot.traffic_class, slot.pod), max_size=30)


def document(**fields: Any) -> dict[str, Any]:
    """A worker's series of three requests, as it is written."""
    made = written.Series()
    for second in range(3):
        made.count("sent", 1000.0 + second)
        made.answered(1000.0 + second, 1000.25 + second, "v1")
    return {"class": "post", "pod": "app-0", **made.document(), **fields}


def by_time(slot: Slot) -> tuple[float, str, str]:
    return slot.at, slot.traffic_class, slot.pod


@given(runs, st.integers(-2, 62), st.integers(-2, 62))
def test_sums_over_columns_are_what_counting_slot_by_slot_comes_to(
    made: list[Slot], start: int, lasts: int
) -> None:
    first, last = (START + start) / 10, (START + start + lasts) / 10
    inside = [slot for slot in made if first <= slot.at < last]
    series = packed(made)
    parts = [(one, range(one.since(first), max(one.since(first), one.since(last)))) for one in series]
    for name in COUNTS:
        summed = sum(sum(getattr(one, name)[part.start : part.stop]) for one, part in parts)
        assert summed == sum(getattr(slot, name) for slot in inside)
    found = sorted(microseconds(code) for one, part in parts for code in one.latencies_of(part))
    assert found == sorted(
        us for slot in inside for us, count in slot.latency_us.items() for _ in range(count)
    )
    for version in ("v1", "v2"):
        columns = [(one.versions[version], part) for one, part in parts if version in one.versions]
        answers = sum(sum(column[part.start : part.stop]) for column, part in columns)
        assert answers == sum(slot.versions.get(version, 0) for slot in inside)


@given(runs)
def test_a_series_holds_the_slots_that_it_was_made_of_and_is_read_as_it_was_written(made: list[Slot]) -> None:
    series = packed(made)
    text = [one.model_dump_json() for one in series]
    assert [Series.model_validate_json(each) for each in text] == series
    busy = [slot for slot in made if any(getattr(slot, name) for name in COUNTS)]
    assert sorted(unpacked(series), key=by_time) == sorted(busy, key=by_time)


@given(st.integers(-5, 70), st.integers(0, 30), st.sampled_from([0.0, 0.137]))
def test_slots_are_found_by_their_times(begins: int, lasts: int, ahead_s: float) -> None:
    (one,) = packed(
        [Slot(at=(START + number) / 10, traffic_class="c", pod="p", sent=1) for number in range(60)]
    )
    one.ahead_s = ahead_s
    times = [one.time(index) for index in range(one.length)]
    start, end = START / 10 + begins / 7, START / 10 + (begins + lasts) / 7
    assert one.since(start) == sum(time < start for time in times)
    assert one.after(start) == sum(time <= start for time in times)
    touched = [index for index, time in enumerate(times) if start - SLOT_S < time < end]
    assert list(one.touching(start, end)) == touched
    assert one.last == times[-1]


def test_what_a_worker_writes_is_read() -> None:
    read = Series.model_validate_json(json.dumps(document()))
    assert (read.time(0), read.length, sum(read.sent), sum(read.answered)) == (1000.0, 23, 3, 3)
    assert list(read.versions["v1"]) == [int(index in (2, 12, 22)) for index in range(23)]
    assert [microseconds(code) for code in read.latencies] == [250_000] * 3


@pytest.mark.parametrize(
    ("spoiled", "why"),
    [
        ({"sent": "AAAA"}, "multiple"),
        ({"sent": "AAAAAA=="}, "differ in length"),
        ({"versions": {"v1": "AAAAAA=="}}, "differ in length"),
        ({"sent": "a column"}, "base64"),
        ({"sent": [1, 2]}, "a column is base64"),
        ({"latencies": "AAA="}, "as many latencies"),
        ({"surprise": 1}, "Extra inputs"),
        (dict.fromkeys(COUNTS, "") | {"versions": {}, "latencies": ""}, "without a slot"),
    ],
)
def test_a_series_that_is_none_is_refused(spoiled: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Series.model_validate(document(**spoiled))


@given(st.integers(0, 65_535), st.integers(0, 65_535))
def test_every_code_is_a_latency_and_codes_rise_with_them(one: int, other: int) -> None:
    assert (one < other) == (microseconds(one) < microseconds(other))


def test_half_an_hour_is_kept_in_a_few_bytes_for_each_request() -> None:
    requests, answered = 180_000, array("I", [10] * 18_000)
    columns = {**dict.fromkeys(COUNTS, answered), "versions": {"v1": answered}}
    fields = {
        "class": "post",
        "pod": "app-0",
        "first": START,
        **columns,
        "latencies": array("H", [950] * requests),
    }
    text = Series.model_validate(fields).model_dump_json()
    tracemalloc.start()
    try:
        read = Series.model_validate_json(text)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(read.sent) == requests
    assert kept / requests < 10
