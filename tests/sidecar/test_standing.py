"""An exchange in its middle as JSON: what is read there goes on as if it had never been interrupted."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.proxy.body import Chunks, Length, UntilClose
from sidecar.proxy.head import Request
from sidecar.proxy.standing import Standing, standing_of, state_of

CHUNKED = b"5;a=b\r\nhello\r\n1F\r\n" + b"x" * 31 + b"\r\n0\r\nXrailer: 1\r\nOther: 2\r\n\r\n"


def exchange(answer: Length | Chunks | UntilClose | None) -> Standing:
    return Standing(Request(b"", 0, False, True, False, False), True, True, False, True, answer, 7)


def carried(answer: Length | Chunks | UntilClose | None) -> Standing:
    return standing_of(json.loads(json.dumps(state_of(exchange(answer)))))


@pytest.mark.case(32)
@pytest.mark.parametrize("cut", range(len(CHUNKED)))
def test_a_chunked_answer_goes_on_at_any_byte(cut: int) -> None:
    before = Chunks()
    assert before.take(CHUNKED[:cut]) == cut
    after = carried(before).answer
    assert isinstance(after, Chunks)
    assert after.take(CHUNKED[cut:] + b"more") == len(CHUNKED) - cut
    assert after.done


def test_every_other_part_comes_back_as_it_was() -> None:
    found = carried(None)
    assert found == exchange(None)
    length = carried(Length(12)).answer
    assert isinstance(length, Length)
    assert (length.size, length.done) == (12, False)
    assert isinstance(carried(UntilClose()).answer, UntilClose)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(_JSON, st.sampled_from([*state_of(exchange(None)), "none"]), _JSON)
def test_what_is_no_exchange_is_refused_and_nothing_worse(state: object, name: str, value: object) -> None:
    for candidate in (state, {**state_of(exchange(Length(1))), name: value}):
        try:
            found = standing_of(candidate)
        except ValueError:
            continue
        assert standing_of(json.loads(json.dumps(state_of(found)))).ahead == found.ahead


@pytest.mark.parametrize(
    "answer",
    [
        {"length": -1},
        {"until": "never"},
        {"left": -1, "line": "", "trailer": 0, "expect": "size"},
        {"left": 0, "line": "", "trailer": 0, "expect": "state"},
        {"left": 0, "line": "x" * 5000, "trailer": 0, "expect": "size"},
        {"left": 0, "line": "\u20ac", "trailer": 0, "expect": "size"},
        7,
    ],
)
def test_a_body_that_makes_no_sense_is_refused(answer: object) -> None:
    with pytest.raises(ValueError):
        standing_of({**state_of(exchange(None)), "answer": answer})
