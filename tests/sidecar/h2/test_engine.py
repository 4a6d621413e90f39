"""Budgets, and the bounds that the engine sets to its peer."""

from __future__ import annotations

import h2.settings
import pytest
from h2.events import RequestReceived, StreamReset
from h2.exceptions import DenialOfServiceError, ProtocolError

from sidecar.proxy.h2 import engine as engines
from sidecar.proxy.h2.budget import Budget
from sidecar.proxy.h2.engine import ServerEngine
from tests.sidecar.h2.peer import PREFACE, frame

GET = b"\x82\x86\x84\x41\x01a"  # GET http://a/


def server(limit: int = 8192) -> ServerEngine:
    engine = ServerEngine(limit)
    engine.greet()
    engine.receive(PREFACE + frame(4, 0, 0), 0.0)
    engine.data_to_send()
    return engine


def test_a_budget_allows_a_burst_and_then_so_much_a_second() -> None:
    budget = Budget("tests", burst=3, rate=2)
    for _ in range(3):
        budget.spend(10.0)
    with pytest.raises(DenialOfServiceError, match="too many tests"):
        budget.spend(10.0)
    budget.earn(2)
    budget.spend(10.0)
    for second in range(11, 30):
        budget.spend(second)
        budget.spend(second)


def test_a_keep_alive_never_runs_out_and_a_flood_does_at_once() -> None:
    engine = server()
    for minute in range(1000):
        engine.receive(frame(6, 0, 0, bytes(8)), minute * 10.0)
    with pytest.raises(DenialOfServiceError):
        engine.receive(frame(6, 0, 0, bytes(8)) * 1000, 10_000.0)


@pytest.mark.parametrize(
    "flood",
    [
        frame(4, 0, 0),
        frame(2, 0, 1, bytes(4) + b"\x10"),
        frame(8, 0, 0, b"\0\0\0\1"),
        frame(0xFA, 0, 0, b"x"),
        frame(0, 0, 1),
        frame(0, 8, 1, b"\0"),
    ],
)
def test_frames_that_carry_nothing_are_bounded(flood: bytes) -> None:
    engine = server()
    engine.receive(frame(1, 4, 1, GET), 0.0)
    with pytest.raises(DenialOfServiceError):
        engine.receive(flood * 500, 0.0)


def test_windows_that_answer_data_cost_nothing() -> None:
    engine = server()
    for _ in range(5000):
        engine.sent_data()
        engine.receive(frame(8, 0, 0, b"\0\0\0\1") * 2, 0.0)


def test_streams_that_are_reset_at_once_are_bounded() -> None:
    engine = server()
    pairs = [frame(1, 5, number, GET) + frame(3, 0, number, bytes(4)) for number in range(1, 1001, 2)]
    with pytest.raises(DenialOfServiceError):
        engine.receive(b"".join(pairs), 0.0)


def test_one_stream_too_many_is_refused_and_no_other() -> None:
    engine = server()
    for number in range(1, 2 * engines.STREAMS, 2):
        assert isinstance(engine.receive(frame(1, 5, number, GET), 0.0)[0], RequestReceived)
    over = 2 * engines.STREAMS + 1
    literal = GET + b"\x40\x01x\x01y"  # changes the table, and has to although it is refused
    assert engine.receive(frame(1, 5, over, literal), 0.0) == []
    assert engine.data_to_send() == frame(3, 0, over, b"\0\0\0\x07")
    engine.receive(frame(0, 1, over, b"x"), 0.0)
    engine.data_to_send()
    engine.reset_stream(1)
    events = engine.receive(frame(1, 5, over + 2, GET + b"\xbf"), 0.0)
    assert isinstance(events[0], RequestReceived)
    assert (b"x", b"y") in list(events[0].headers)


def test_a_longer_body_than_announced_ends_its_stream_and_no_other() -> None:
    engine = server()
    engine.receive(frame(1, 4, 1, GET + b"\x0f\x0d\x011") + frame(1, 4, 3, GET), 0.0)
    events = engine.receive(frame(0, 0, 1, b"two"), 0.0)
    assert isinstance(events[0], StreamReset)
    assert engine.data_to_send() == frame(3, 0, 1, b"\0\0\0\x01")
    assert engine.alive(3)
    assert not engine.alive(1)


def test_settings_that_nobody_knows_are_not_kept_and_a_huge_table_is_not_used() -> None:
    engine = server()
    for code in range(100, 200):
        engine.receive(frame(4, 0, 0, code.to_bytes(2, "big") + bytes(4)), 0.0)
    engine.receive(frame(4, 0, 0, b"\0\x01\xff\xff\xff\xff"), 0.0)
    assert set(engine.remote_settings) <= set(h2.settings.SettingCodes)
    assert engine.encoder.header_table_size == engines.TABLE


def test_only_the_lowest_and_the_last_size_of_the_table_are_announced() -> None:
    engine = server()
    for size in (3000, 100, 2000):
        engine.receive(frame(4, 0, 0, b"\0\x01" + size.to_bytes(4, "big")), 0.0)
    engine.receive(frame(1, 5, 1, GET), 0.0)
    engine.data_to_send()
    engine.send_headers(1, [(":status", "200")], end_stream=True)
    assert engine.data_to_send() == frame(1, 5, 1, b"\x3f\x45\x3f\xb1\x0f\x88")


def test_a_header_block_that_does_not_end_is_bounded_in_bytes() -> None:
    engine = server(limit=8192)
    engine.receive(frame(1, 0, 1, b"\x82"), 0.0)
    engine.receive(frame(9, 0, 1, bytes(8000)) * 2, 0.0)
    with pytest.raises(ProtocolError):
        engine.receive(frame(9, 0, 1, bytes(8000)), 0.0)
    assert frame(7, 0, 0)[3:9] in engine.data_to_send()


def test_streams_go_on_after_either_side_says_goodbye() -> None:
    engine = server()
    engine.receive(frame(1, 4, 1, GET), 0.0)
    engine.receive(frame(7, 0, 0, bytes(8)), 0.0)
    engine.goaway(1)
    events = engine.receive(frame(0, 1, 1, b"x"), 0.0)
    assert len(events) == 2
    engine.send_headers(1, [(":status", "200")], end_stream=True)


def test_a_connection_has_to_begin_with_settings() -> None:
    for first in (frame(6, 0, 0, bytes(8)), frame(4, 1, 0), frame(1, 5, 1, GET)):
        engine = ServerEngine(8192)
        engine.greet()
        with pytest.raises(ProtocolError):
            engine.receive(PREFACE + first, 0.0)
