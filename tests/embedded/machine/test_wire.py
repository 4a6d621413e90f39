"""Frames between process 1 and the control plane."""

from __future__ import annotations

import os
import socket
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.embedded.machine import wire

BODIES: list[wire.Body] = [
    {"call": 1, "verb": "start", "text": "ä" * 50},
    {"event": "hello"},
    {"call": 2, "result": None},
]


def encoded() -> bytes:
    data = b""
    for body in BODIES:
        outbox = wire.Outbox()
        outbox.put(body)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            assert outbox.flush(ours)
            data += theirs.recv(4096)
    return data


@settings(database=None)
@given(cuts=st.lists(st.integers(min_value=0, max_value=300)))
def test_frames_may_arrive_in_any_pieces(cuts: list[int]) -> None:
    data, decoder = encoded(), wire.Decoder()
    found: list[wire.Body] = []
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, end in pairwise(edges):
        found += [body for body, _ in decoder.feed(data[start:end])]
    assert found == BODIES


def test_descriptors_travel_with_their_frame_and_are_given_away() -> None:
    ours, theirs = socket.socketpair()
    read, write = os.pipe()
    with ours, theirs:
        outbox, decoder = wire.Outbox(), wire.Decoder()
        outbox.put({"n": 1})
        outbox.put({"n": 2}, [write])
        assert outbox.flush(ours)
        found: list[tuple[wire.Body, list[int]]] = []
        while len(found) < 2:
            found += decoder.feed(*wire.receive(theirs))
    assert [body["n"] for body, _ in found] == [1, 2]
    assert found[0][1] == []
    (received,) = found[1][1]
    assert not os.get_inheritable(received)
    os.close(received)
    assert os.read(read, 1) == b""  # nobody else holds the writing end
    os.close(read)


def test_a_full_socket_keeps_the_rest_for_later() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        outbox, decoder = wire.Outbox(), wire.Decoder()
        found: list[int] = []
        for number in range(3):
            outbox.put({"n": number, "much": "x" * 500_000})
        assert not outbox.flush(ours)
        while len(found) < 3:
            found += [body["n"] for body, _ in decoder.feed(*wire.receive(theirs))]
            outbox.flush(ours)
    assert found == [0, 1, 2]


def test_closing_closes_what_was_not_sent() -> None:
    read, write = os.pipe()
    outbox = wire.Outbox()
    outbox.put({}, [write])
    outbox.close()
    assert os.read(read, 1) == b""
    os.close(read)
