import json

from hypothesis import given
from hypothesis import strategies as st

from loadtests import endpoint

values = st.one_of(
    st.none(),
    st.integers(),
    st.text(),
    st.lists(st.integers(), max_size=170),
    st.dictionaries(st.text(), st.text()),
)


@given(st.dictionaries(st.text(), values, min_size=1))
def test_a_document_in_pieces_is_the_document(document: dict[str, object]) -> None:
    assert json.loads(b"".join(endpoint.pieces(document))) == document


def test_a_long_list_is_written_in_short_pieces() -> None:
    parts = list(endpoint.pieces({"efforts": list(range(10_000)), "stopped": None}))
    assert max(part.count(b",") for part in parts) <= endpoint.PIECE
