"""The wire format: what is released stays readable, and what is broken is refused."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import PeerHandoverError
from sidecar.handover import frames

# Frames of the first release, byte for byte: a later one has to understand them.
RELEASED: dict[bytes, tuple[int, dict[str, Any]]] = {
    b'HU\x01\x10\x00\x00\x00\x3d{"protocols":[1],"generation":"5001","release":"v2","x":null}': (
        frames.REQUEST,
        {"protocols": [1], "generation": "5001", "release": "v2", "x": None},
    ),
    b'HU\x01\x11\x00\x00\x00\x51{"protocol":1,"listeners":'
    b'[{"family":"inet","kind":"stream","host":"","port":1}]}': (
        frames.OFFER,
        {"protocol": 1, "listeners": [{"family": "inet", "kind": "stream", "host": "", "port": 1}]},
    ),
    b"HU\x01\x12\x00\x00\x00\x02{}": (frames.PREPARED, {}),
    b"HU\x01\x13\x00\x00\x00\x02{}": (frames.ACCEPT, {}),
    b"HU\x01\x14\x00\x00\x00\x02{}": (frames.ACCEPTING, {}),
    b"HU\x01\x15\x00\x00\x00\x02{}": (frames.COMMIT, {}),
    b'HU\x01\x16\x00\x00\x00\x0a{"told":3}': (frames.DRAINED, {"told": 3}),
    b"HU\x01\x17\x00\x00\x00\x02{}": (frames.RELEASED, {}),
    b'HU\x01\x1f\x00\x00\x00\x11{"reason":"busy"}': (frames.ABORT, {"reason": "busy"}),
    b"HU\x01\x01\x00\x00\x00\x02{}": (frames.WATCH, {}),
    b'HU\x01\x02\x00\x00\x00\x10{"settled":true}': (frames.STATE, {"settled": True}),
}


@pytest.mark.parametrize("record", RELEASED)
def test_released_frames_are_read_and_written_byte_for_byte(record: bytes) -> None:
    kind, body = RELEASED[record]
    assert frames.decode(record) == frames.Frame(kind, body)
    assert frames.encode(kind, body) == record


@pytest.mark.case(10)
@pytest.mark.parametrize("record", RELEASED)
def test_a_frame_cut_at_any_byte_is_refused(record: bytes) -> None:
    for cut in range(len(record)):
        with pytest.raises(PeerHandoverError):
            frames.decode(record[:cut])


@pytest.mark.case(10)
@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"HU\x02\x10\x00\x00\x00\x02{}",
        b"HU\x01\x10\x00\x00\x00\x02[]",
        b"HU\x01\x10\x00\x00\x00\x02\xff\xff",
        b"HU\x01\x10\x00\x00\x00\x03{}",
        b"HU\x01\x10\x00\x01\x00\x00" + b"[" * 65536,
    ],
)
def test_what_is_no_frame_is_refused(record: bytes) -> None:
    with pytest.raises(PeerHandoverError):
        frames.decode(record)


def test_an_unknown_kind_is_still_a_frame() -> None:
    assert frames.decode(frames.encode(200, {"new": 1})).kind not in frames.KNOWN


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_and_never_anything_else(data: bytes) -> None:
    with contextlib.suppress(PeerHandoverError):
        frames.decode(data)


@pytest.mark.case(10)
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"listeners": []},
        {"listeners": "x"},
        {"listeners": [1]},
        {"listeners": [{"family": "inet", "kind": "datagram", "host": "a", "port": 1}]},
        {"listeners": [{"family": "inet", "kind": "stream", "host": "a", "port": "1"}]},
        {"listeners": [{"family": "vsock", "kind": "stream", "host": "a", "port": 1}]},
        {"listeners": [{"family": "inet", "kind": "stream", "host": "a", "port": 1}] * 254},
    ],
)
def test_an_offer_that_cannot_be_taken_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(PeerHandoverError):
        frames.listeners(body)


def test_an_offer_may_hold_fields_that_are_not_known_yet() -> None:
    row = {"family": "inet", "kind": "stream", "host": "0.0.0.0", "port": 9091, "tls": True}
    assert frames.listeners({"listeners": [row], "later": 1}) == [("inet", "0.0.0.0", 9091)]
