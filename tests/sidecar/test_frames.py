"""The wire format: what is released stays readable, and what is broken is refused."""

from __future__ import annotations

import contextlib
import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import PeerHandoverError
from sidecar.handover import frames
from tests.sidecar.formats import ALL, RELEASED, Released

RECORDS = [frame.record for frame in ALL]
NAME = operator.attrgetter("name")


@pytest.mark.parametrize("frame", ALL, ids=NAME)
def test_released_frames_are_read_as_they_were_meant(frame: Released) -> None:
    assert frames.decode(frame.record) == frames.Frame(frame.kind, frame.body, frame.data)


@pytest.mark.parametrize("frame", RELEASED[frames.PROTOCOLS[-1]].values(), ids=NAME)
def test_frames_of_this_release_are_written_as_its_peers_will_read_them(frame: Released) -> None:
    written = frames.carry(frame.body["number"], frame.data) if frame.data else [frames.encode(*frame[1:3])]
    assert written == [frame.record]


def test_every_protocol_and_every_kind_of_frame_is_kept_as_data() -> None:
    assert tuple(RELEASED) == frames.PROTOCOLS
    assert {frame.kind for frame in ALL} == frames.KNOWN


@pytest.mark.case(10)
@pytest.mark.parametrize("record", RECORDS)
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


ROW = {"kind": "http1", "listener": "a:1", "state": {}, "size": 0, "descriptors": 1}


@pytest.mark.case(10, 32)
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"first": 0, "connections": []},
        {"first": -1, "connections": [ROW]},
        {"first": 2**63, "connections": [ROW]},
        {"first": 0, "connections": [ROW, 1]},
        *({"first": 0, "connections": [{**ROW, "size": size}]} for size in (-1, "0", None)),
        *({"first": 0, "connections": [{**ROW, "descriptors": number}]} for number in (0, -1, 254, 10**12)),
        *({"first": 0, "connections": [{**ROW, name: 1}]} for name in ("kind", "listener", "state")),
    ],
)
def test_a_move_that_cannot_be_taken_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(PeerHandoverError):
        frames.connections(body)


def test_an_offer_may_hold_fields_that_are_not_known_yet() -> None:
    row = {"family": "inet", "kind": "stream", "host": "0.0.0.0", "port": 9091, "tls": True}
    assert frames.listeners({"listeners": [row], "later": 1}) == [("inet", "0.0.0.0", 9091)]
