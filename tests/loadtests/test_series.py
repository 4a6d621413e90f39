import sys

from hypothesis import given
from hypothesis import strategies as st

from harness.record import columns, series
from harness.record.series import Series
from loadtests import series as written

START = 1000.0


def read(made: written.Series) -> Series:
    return Series.model_validate({"class": "post", "pod": "app-0", **made.document()})


@given(st.integers(0, 10**9))
def test_a_latency_keeps_three_digits_and_is_never_better_than_it_was(microseconds: int) -> None:
    kept = columns.microseconds(written.code(microseconds))
    assert microseconds <= kept <= microseconds * 1.01
    assert len(str(kept).rstrip("0")) <= 3


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1))
def test_answers_that_come_in_any_order_are_kept_by_the_slot_of_their_request(
    requests: list[tuple[int, int]],
) -> None:
    made = written.Series()
    for sent, took in requests:
        at = START + (sent + 0.5) / 10
        made.answered(at, at + took / 10, "v1")
    found = read(made)
    expected = sorted((sent, took * 100_000) for sent, took in requests)
    kept = [
        (found.first + index - 10_000, columns.microseconds(code))
        for index in range(found.length)
        for code in found.latencies_of(range(index, index + 1))
    ]
    assert [(sent, round(took, -4)) for sent, took in kept] == [(sent, took) for sent, took in expected]
    assert sum(found.ended) == sum(found.versions["v1"]) == len(requests)


def test_an_event_before_the_first_one_moves_the_beginning() -> None:
    made = written.Series()
    made.answered(START + 2, START + 2.05, "v1")
    made.count("opened", START + 1)
    found = read(made)
    assert (found.time(0), found.length) == (START + 1, 11)
    assert [list(column).index(1) for column in (found.opened, found.answered, found.versions["v1"])] == [
        0,
        10,
        10,
    ]


@given(st.integers(-5, 45))
def test_what_is_left_since_a_moment_is_the_end_of_the_whole(cut: int) -> None:
    made = written.Series()
    for number in range(40):
        at = START + (number + 0.5) / 10
        made.count("sent", at)
        made.answered(at, at + 0.001 * number, f"v{number // 20}")
    rest = made.since(START + (cut + 0.5) / 10)
    assert len(rest) == 40 - min(max(cut, 0), 40)
    if len(rest):
        left, whole = read(rest), read(made)
        past = whole.length - left.length
        assert left.first == whole.first + past
        assert left.sent == whole.sent[past:]
        assert left.latencies == whole.latencies_of(range(past, whole.length))


def test_a_request_takes_a_few_bytes() -> None:
    made, requests = written.Series(), 0
    for number in range(2000):
        at = START + (number + 0.5) / 10
        for each in range(9):
            made.count("sent", at)
            made.answered(at, at + 0.0009 + each / 7000, "v1" if number < 1000 else "v2")
            requests += 1
    kept = (*made.counts.values(), *made.versions.values(), made.latencies)
    assert sum(map(sys.getsizeof, kept)) / requests < 10


def test_constants_are_the_harness_constants() -> None:
    assert (written.SLOT_S, written.COUNTS) == (series.SLOT_S, series.COUNTS)
