"""The admin listener's HTTP, what became of hand-overs, and metrics: bytes, log lines and plain objects."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sidecar.admin import HEAD_LIMIT, MOST, Admin, AdminConnection, Page
from sidecar.capacity import Capacity
from sidecar.config import read
from sidecar.log import Log
from sidecar.pages import pages
from sidecar.proxy.connection import Connection
from sidecar.proxy.service import Service
from sidecar.record import Record

HELLO = Page(200, "text/plain", b"hello\n")


class Wire:
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        self.written = b""
        self.half_closed = self.aborted = False

    def write(self, data: bytes) -> None:
        assert not self.half_closed
        self.written += data

    def write_eof(self) -> None:
        self.half_closed = True

    def abort(self) -> None:
        self.aborted = True


def connected(admin: Admin) -> tuple[AdminConnection, Wire]:
    wire = Wire()
    admin.arriving += 1
    connection = AdminConnection(admin)
    connection.connection_made(cast(asyncio.Transport, wire))
    return connection, wire


@pytest.fixture
async def connection() -> AsyncIterator[tuple[AdminConnection, Wire]]:
    connection, wire = connected(Admin({"/hello": lambda: HELLO}))
    yield connection, wire
    connection.connection_lost(None)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"GET /hello?x=y HTTP/1.0\r\n\r\n", 200),
        (b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", 200),
        (b"GET /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde", 200),
        (b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n\x16\x03\x01\x02", 200),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"GET /hello/ HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 405),
        (b"HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"\x16\x03\x01\x02\x00", 400),
        (b"GET /hello\r\n\r\n", 400),
        (b"GET /hello HTTP/1.1\nHost: a\n\n", 400),
        (b"GET /hello HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET /hello HTTP/1.1\r\nX: " + b"a" * HEAD_LIMIT, 431),
    ],
)
@pytest.mark.parametrize("size", [1, 10**6])
async def test_a_request_gets_one_answer_however_it_is_cut(
    request_: bytes, status: int, size: int, connection: tuple[AdminConnection, Wire]
) -> None:
    protocol, wire = connection
    for at in range(0, len(request_), size):
        protocol.data_received(request_[at : at + size])
    head, _, body = wire.written.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert int(lines[0].split(b" ")[1]) == status
    assert b"Connection: close" in lines
    assert b"Content-Length: %d" % len(body) in lines
    assert (b"Allow: GET" in lines) == (status == 405)
    assert body == (HELLO.body if status == 200 else body)
    assert wire.half_closed
    protocol.data_received(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
    assert wire.written.count(b"HTTP/1.1 ") == 1


async def test_connections_beyond_the_limit_have_to_wait() -> None:
    admin = Admin({})
    open_ = [connected(admin)[0] for _ in range(MOST)]
    assert admin.capacity.full()
    woken: list[bool] = []
    admin.capacity.wait(lambda: woken.append(True))
    open_.pop().connection_lost(None)
    assert woken == [True]
    assert not admin.capacity.full()
    for connection in open_:
        connection.connection_lost(None)


def test_capacity_wakes_who_waits_once_and_only_when_there_is_some() -> None:
    present, woken = ["a", "b", "c"], []
    capacity = Capacity(2, lambda: len(present))
    waits, goes = (lambda: woken.append("waits")), (lambda: woken.append("goes"))
    capacity.wait(waits)
    capacity.wait(goes)
    capacity.forget(goes)
    for expected in ([], ["waits"], ["waits"]):
        present.pop()
        capacity.freed()
        assert woken == expected


# -- what became of hand-overs -------------------------------------------------------------------------------


def told(record: Record, *events: tuple[float, str], role: str = "working", **details: Any) -> None:
    for when, event in events:
        record.heard({"time": 1000 + when, "monotonic": when, "event": event, "role": role, **details})


def test_a_committed_handover_has_its_duration_and_the_counts_of_its_drain() -> None:
    record = Record()
    told(record, (1, "handover_requested"), (1.2, "commit"), (1.2, "draining"))
    told(record, (3.2, "drained"), finished=2, told=1)
    found = record.document()
    assert found["as_predecessor"] == {
        "time": 1003.2,
        "outcome": "committed",
        "seconds": pytest.approx(0.2),
        "drain_seconds": pytest.approx(2),
        "reason": "",
        "counts": {"finished": 2, "told": 1},
    }
    assert found["as_successor"] is None
    assert found["outcomes"]["predecessor"] == {"committed": 1, "aborted": 0, "resumed": 0}
    json.dumps(found)


def test_a_successor_then_hands_over_itself_and_gets_it_back() -> None:
    record = Record()
    told(record, (1, "listener_received"), role="successor")
    told(record, (2, "commit"), (3, "predecessor_drained"))
    told(record, (5, "handover_requested"), (5.5, "commit"), (6, "drained"), (7, "resumed"))
    assert record.last["successor"].seconds == 1
    assert record.last["successor"].drain_seconds == 1
    assert (record.last["predecessor"].outcome, record.last["predecessor"].seconds) == ("resumed", 0.5)
    assert dict(record.outcomes) == {
        ("successor", "committed"): 1,
        ("predecessor", "committed"): 1,
        ("predecessor", "resumed"): 1,
    }


@pytest.mark.parametrize(
    ("began", "role", "side"),
    [
        ("handover_requested", "working", "predecessor"),
        ("listener_received", "successor", "successor"),
        ("started", "working", "predecessor"),  # refused at once
        ("started", "successor", "successor"),
    ],
)
def test_an_aborted_handover_belongs_to_its_side_and_says_why(began: str, role: str, side: str) -> None:
    record = Record()
    told(record, (1, began), role=role)
    told(record, (2, "handover_aborted"), role=role, reason="busy")
    assert dict(record.outcomes) == {(side, "aborted"): 1}
    assert (record.last[side].reason, record.last[side].seconds) == ("busy", None)


def test_lines_that_have_no_place_change_nothing_and_break_nothing() -> None:
    record = Record()
    told(record, (1, "resumed"), (2, "drained"), (3, "predecessor_gone"), (4, "unheard-of"))
    assert (record.last, dict(record.outcomes)) == ({}, {})


# -- pages ---------------------------------------------------------------------------------------------------


class Fake:
    """As much of a connection as metrics look at."""

    def __init__(
        self, kind: str, silent_since: float | None, told: bool = False, moved: bool = False
    ) -> None:
        self.kind, self.silent_since, self.told, self.moved, self.forced = (
            kind,
            silent_since,
            told,
            moved,
            False,
        )

    def drain(self) -> None:
        pass


class World:
    """The parts that pages show."""

    def __init__(self) -> None:
        self.phase = "working"
        config = read({"SIDECAR_ADMIN": "127.0.0.1:15000"})
        self.record = Record()
        self.service = Service(config)
        log = Log("v1", None, "initial", self.record.heard)
        self.pages = pages(config, lambda: {"phase": self.phase}, log, self.service, self.record)

    def samples(self) -> dict[str, float]:
        """By name and labels, as in the text."""
        text = self.pages["/metrics"]().body.decode()
        return {
            sample.name
            + "".join(f",{key}={value}" for key, value in sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def client(self, client: Fake) -> Connection:
        self.service.arriving += 1
        self.service.arrived(cast(Connection, client))
        return cast(Connection, client)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    world.service.clients.clear()
    world.service.close()


@pytest.mark.parametrize(
    ("phase", "healthy", "ready"),
    [
        ("starting", 503, 503),
        ("arriving", 503, 503),
        ("silent", 200, 503),
        ("idle", 200, 200),
        ("working", 200, 200),
        ("draining", 200, 503),
        ("drained", 200, 503),
        ("ending", 200, 503),
        ("failed", 503, 503),
    ],
)
async def test_health_is_playing_ones_part_and_readiness_is_serving_or_being_idle(
    phase: str, healthy: int, ready: int, world: World
) -> None:
    world.phase = phase
    for path, status in (("/healthz", healthy), ("/readyz", ready)):
        page = world.pages[path]()
        assert (page.status, page.body) == (status, f"{phase}\n".encode())


async def test_the_state_names_versions_role_and_listeners_with_their_kinds(world: World) -> None:
    document = json.loads(world.pages["/hand-over"]().body)
    assert (document["phase"], document["role"]) == ("working", "initial")
    assert (document["version"], document["alt"]) == (None, 0)
    assert document["listeners"] == [
        {"address": "0.0.0.0:9091", "kind": "inbound"},
        {"address": "127.0.0.1:15000", "kind": "admin"},
    ]
    assert document["as_predecessor"] is None


async def test_metrics_are_what_is_there_when_somebody_scrapes(world: World) -> None:
    service = world.service
    service.requests[2] += 5
    service.tally.errors["host"] += 1
    for client in (Fake("http1", 1.0), Fake("http1", None, told=True), Fake("tunnel", None)):
        world.client(client)
    told(world.record, (1, "handover_requested"), (1.2, "commit"))
    samples = world.samples()
    expected = {
        "sidecar_info,generation=unset,release=unreleased": 1,
        "sidecar_state,phase=working,role=initial": 1,
        "sidecar_requests_total,code=2xx": 5,
        "sidecar_requests_total,code=5xx": 0,
        "sidecar_connections,protocol=http1,state=silent": 1,
        "sidecar_connections,protocol=http1,state=busy": 1,
        "sidecar_connections,protocol=tunnel,state=busy": 1,
        "sidecar_errors_total,reason=host": 1,
        "sidecar_errors_total,reason=chunks": 0,
        "sidecar_tells_total": 1,
        "sidecar_handovers_total,outcome=committed,side=predecessor": 1,
        "sidecar_handovers_total,outcome=resumed,side=predecessor": 0,
        "sidecar_handover_last_seconds,side=predecessor": pytest.approx(0.2),
        "sidecar_handover_seconds_bucket,le=0.1,side=predecessor": 0,
        "sidecar_handover_seconds_bucket,le=0.25,side=predecessor": 1,
        "sidecar_handover_seconds_bucket,le=+Inf,side=predecessor": 1,
        "sidecar_handover_seconds_count,side=predecessor": 1,
        "sidecar_handover_seconds_sum,side=successor": 0,
    }
    assert {name: samples.get(name) for name in expected} == expected
    assert "sidecar_handover_last_seconds,side=successor" not in samples


async def test_the_page_on_operations_names_every_metric_and_no_other(world: World) -> None:
    text = world.pages["/metrics"]().body.decode()
    shown = {line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    page = Path(__file__).parents[2].joinpath("docs/operations.md").read_text()
    assert set(re.findall(r"^\| `(sidecar_\w+)`", page, re.MULTILINE)) == shown


async def test_counts_of_a_drain_go_on_in_the_next_one_whether_it_ended_or_was_stopped(world: World) -> None:
    def drained(outcome: str) -> float:
        return world.samples()[f"sidecar_drained_total,outcome={outcome}"]

    service = world.service
    first, second, third = (world.client(Fake("http1", None)) for _ in range(3))
    service.start_drain(5, 20, lambda counts: None)
    first.told = True
    service.gone(first)
    assert (drained("told"), world.samples()["sidecar_tells_total"]) == (1, 1)
    service.stop_drain()
    service.start_drain(5, 20, lambda counts: None)
    second.moved = True
    service.gone(second)
    service.gone(third)  # the last: the drain is over
    assert service.drain is None
    assert (drained("told"), drained("moved"), drained("finished"), drained("forced")) == (1, 1, 1, 0)
    assert world.samples()["sidecar_moved_total,direction=out"] == 1
