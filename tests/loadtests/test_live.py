"""Every class through real sidecars to the real application, while both pods are upgraded."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from app.ledger import Ledger
from app.outbound import Outbound
from app.server import Pace, start, traffic
from harness.record.classes import FEATURES, THROUGH_SERVICE, USUAL
from harness.record.ledger import AppLedger, LoadLedger
from harness.verdict.reconcile import reconcile
from loadtests import ledger, settings
from loadtests.classes import CLASSES, TrafficClass
from loadtests.client import Address, RequestFailed
from loadtests.probe import probe
from loadtests.sender import Sender
from loadtests.settings import Settings
from tests.sidecar.rig import WITHIN_S, Pod, Sidecar, eventually, free_port

pytestmark = pytest.mark.integration

CLIENTS = 2
LASTING = ("slow-upload", "long-stream")
EXTENDED = tuple(name for name in FEATURES if name not in (*USUAL, THROUGH_SERVICE))


@dataclass
class Backend:
    """What `Pod` has to know of an application."""

    port: int


class Place:
    """A pod: the application in this process, its sidecar in another."""

    def __init__(self, name: str, folder: Path) -> None:
        self.ledger = Ledger(name)
        self.proxy_port = free_port()
        self.outbound = Outbound("127.0.0.1", self.proxy_port)
        self.backend = Backend(0)
        self.pod = Pod(self.backend, folder)  # type: ignore[arg-type]
        self.settings = {
            "SIDECAR_OUTBOUND": f"127.0.0.1:{self.proxy_port}",
            "SIDECAR_OUTBOUND_ALLOW": "127.0.0.0/8",
            "SIDECAR_DRAIN_IDLE_S": "5",  # its default: longer than any client of ours is silent
        }

    @property
    def address(self) -> Address:
        return Address(self.ledger.pod, "127.0.0.1", self.pod.port)

    async def sidecar(self, version: int, alt: int) -> Sidecar:
        return await self.pod.start(version, alt, (), **self.settings)


@asynccontextmanager
async def place(name: str) -> AsyncIterator[Place]:
    root = Path(tempfile.mkdtemp(prefix="hu-"))  # a unix path has to be short, tmp_path is not
    here = Place(name, root / "dir")
    runner = await start(traffic(here.ledger, here.outbound, Pace()), "127.0.0.1", 0)
    here.backend.port = runner.addresses[0][1]
    yield here
    here.outbound.close()
    for sidecar in here.pod.sidecars:
        await sidecar.end(9)
    await runner.cleanup()
    shutil.rmtree(root)


@pytest.fixture
async def places() -> AsyncIterator[list[Place]]:
    async with place("pod-a") as a, place("pod-b") as b:
        for one in (a, b):
            await (await one.sidecar(1, 0)).saw("accepting")
        yield [a, b]


class OneAtATime:
    """A client of the ledger whose calls are whole: greenlets change places at I/O only, threads anywhere."""

    def __init__(self, client: ledger.Client, lock: threading.RLock) -> None:
        self._client, self._lock = client, lock

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._client, name)
        if not callable(value):
            return value

        def call(*arguments: Any, **named: Any) -> Any:
            with self._lock:
                return value(*arguments, **named)

        return call


class Load:
    """Clients of some classes, each in a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self.kept = ledger.Ledger("worker", ledger.wall(monotonic()))
        self._lock = threading.RLock()
        self.failures: list[str] = []
        self._over = threading.Event()
        self._threads = [
            self._client(traffic, address, number)
            for traffic in settings.classes
            for number, address in enumerate(list(settings.addresses(traffic)) * CLIENTS)
        ]

    def _client(self, traffic: TrafficClass, address: Address, number: int) -> threading.Thread:
        executor, via = address.beyond or address, address.pod if address.beyond else None
        client = self.kept.client(f"w.{traffic.name}.{number}", traffic.name, executor.pod, via)

        def report(method: str, response_ms: float, length: int, failure: RequestFailed | None) -> None:
            if failure:
                self.failures.append(f"{traffic.name}: {failure}")

        whole: Any = OneAtATime(client, self._lock)
        sender = Sender(traffic, address, whole, self.kept.punctuality, "x-sidecar-version", report)
        first = monotonic() + number * traffic.interval_s / 4 % 1
        thread = threading.Thread(
            target=sender.run, args=(count(first, traffic.interval_s), self._over.is_set)
        )
        thread.start()
        return thread

    def answered(self) -> dict[str, int]:
        """By class, so far."""
        counts: dict[str, int] = {}
        for client in self.read().clients:
            answered = sum(last - first + 1 for first, last in client.answered)
            counts[client.traffic_class] = counts.get(client.traffic_class, 0) + answered
        return counts

    def read(self) -> LoadLedger:
        with self._lock:
            document = self.kept.document()
        return LoadLedger.model_validate(document)

    def stop(self) -> LoadLedger:
        """Lets the clients finish what they do, and returns what they saw."""
        self._over.set()
        for thread in self._threads:
            thread.join(WITHIN_S)
        self.kept.stop(ledger.wall(monotonic()))
        return self.read()


@contextmanager
def load(settings: Settings) -> Iterator[Load]:
    under_way = Load(settings)
    yield under_way
    under_way.stop()


def settings_for(places: list[Place], names: Sequence[str]) -> Settings:
    targets = ",".join(f"{one.ledger.pod}=127.0.0.1:{one.pod.port}" for one in places)
    return settings.read({"TARGETS": targets, "CLASSES": ",".join(names), "LONG_STREAM_S": "60"})


async def upgrade(one: Place) -> None:
    """A hot upgrade as a node does it."""
    (predecessor,) = one.pod.sidecars
    successor = await one.sidecar(12, 1)
    assert await successor.run("sidecar.hook") == (0, "")
    drained = await predecessor.saw("drained")
    assert (drained["forced"], drained["told"]) == (0, 0)
    assert await predecessor.end() == 0


async def test_every_class_survives_hot_upgrades_of_both_its_pods(places: list[Place]) -> None:
    with load(settings_for(places, EXTENDED)) as under_way:
        await eventually(lambda: {*under_way.answered()} >= {*EXTENDED}, "a client of each class")
        await eventually(
            lambda: all(n > 20 for name, n in under_way.answered().items() if name not in LASTING),
            "answers in each class",
        )
        for one in places:
            await upgrade(one)
        before = under_way.answered()
        await eventually(
            lambda: all(
                n > before[name] + 20 for name, n in under_way.answered().items() if name not in LASTING
            ),
            "answers of the successors",
        )
        found = await asyncio.to_thread(under_way.stop)
    apps = {one.ledger.pod: AppLedger.model_validate(one.ledger.document()) for one in places}
    result = reconcile([found], apps)
    assert under_way.failures == []
    assert result.failed == []
    assert (result.unexpected, result.unrecorded, result.contradictions) == (0, 0, 0)
    assert all(result.classes[name].answered >= CLIENTS * 2 for name in EXTENDED)
    assert result.classes["slow-upload"].answered == sum(
        sockets.opened for sockets in found.sockets if sockets.traffic_class == "slow-upload"
    )
    ends = {(connection.traffic_class, connection.how) for connection in found.connections}
    assert ends == {(name, "open") for name in EXTENDED if CLASSES[name].reuses}
    versions = {version for one in found.series for version in one.versions}
    assert versions == {"v1", "v12"}


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


async def test_a_sidecar_that_tells_clients_to_close_is_told_of_in_the_ledger_and_costs_no_request(
    places: list[Place],
) -> None:
    """Its successor takes no connections; it is played here, and passes new ones to another sidecar."""
    here, beside = places
    names = ("new-connection", "keep-alive", "post", "pipelined", "slow-upload", "h2")

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far = await asyncio.open_connection("127.0.0.1", beside.pod.port)
        await asyncio.gather(pump(reader, far[1]), pump(far[0], writer))

    with load(settings_for([here], names)) as under_way:
        await eventually(
            lambda: all(one.opened >= CLIENTS for one in under_way.read().sockets),
            "the connections of each class",
        )
        successor = await here.pod.scripted("1")
        await successor.commit()
        server = await asyncio.start_server(relay, sock=successor.listeners.pop(0))
        drained = await here.pod.sidecars[0].saw("drained")
        before = under_way.answered()
        await eventually(
            lambda: all(n > before[name] for name, n in under_way.answered().items() if name not in LASTING),
            "answers of the successor",
        )
        found = await asyncio.to_thread(under_way.stop)
    server.close()
    successor.close()
    assert drained["forced"] == 0
    assert under_way.failures == []
    told = {one.traffic_class: (one.told, one.goaway, one.closed, one.broken) for one in found.sockets}
    kept = dict.fromkeys(("keep-alive", "post", "pipelined", "h2"), CLIENTS)
    assert told == {name: (kept.get(name, 0), CLIENTS if name == "h2" else 0, 0, 0) for name in names}


async def test_a_probe_finds_every_class_answered_and_leaves_nothing_in_the_ledgers(
    places: list[Place],
) -> None:
    found = await asyncio.to_thread(probe, settings_for(places, [*USUAL, *EXTENDED]))
    assert found == {name: {"pod-a": None, "pod-b": None} for name in (*USUAL, *EXTENDED)}
    assert all(one.ledger.document()["executed"] == {} for one in places)


async def test_a_probe_says_what_is_wrong(places: list[Place]) -> None:
    first, _ = places
    await first.pod.sidecars[0].end(9)
    found = await asyncio.to_thread(probe, settings_for(places, ["keep-alive", "egress", "websocket"]))
    refused = "refused: no connection: Connection refused"
    assert found["keep-alive"] == {"pod-a": refused, "pod-b": None}
    assert found["websocket"] == {"pod-a": refused, "pod-b": None}
    assert found["egress"] == {"pod-a": refused, "pod-b": "status: status 502"}


async def test_a_request_that_cannot_be_passed_on_is_an_error_and_says_why() -> None:
    async with place("pod-a") as alone:
        alone.settings.clear()  # no outbound listener
        await (await alone.sidecar(1, 0)).saw("accepting")
        found = await asyncio.to_thread(probe, settings_for([alone], ["egress", "connect"]))
    why = "status: status 502: the outbound listener: Connection refused"
    assert found == {"egress": {"pod-a": why}, "connect": {"pod-a": why}}


async def test_the_reference_sidecar_passes_nothing_on_to_its_own_pod() -> None:
    async with place("pod-a") as alone:
        await (await alone.sidecar(1, 0)).saw("accepting")
        found = await asyncio.to_thread(probe, settings_for([alone], ["egress", "connect"]))
    assert found["egress"] == {"pod-a": "status: status 403"}
    assert found["connect"] == {"pod-a": "status: status 502: CONNECT was answered 403"}
