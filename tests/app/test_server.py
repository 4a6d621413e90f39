import asyncio
import hashlib
import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from app.ledger import Ledger
from app.outbound import Outbound
from app.server import Pace, admin, traffic
from harness.record.ledger import AppLedger

pytestmark = pytest.mark.integration

IMAGE = Path(__file__).resolve().parents[2] / "images" / "app" / "v1"
SOON_S = 10.0  # a Python process starts or ends, on a busy machine
NOTHING = hashlib.sha256(b"").hexdigest()
NOBODY = Outbound("127.0.0.1", 1)
Client = TestClient[Request, Application]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger("pod-1")


@pytest.fixture
async def client(ledger: Ledger) -> AsyncIterator[Client]:
    async with TestClient(TestServer(traffic(ledger, NOBODY, Pace()))) as client:
        yield client


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_echo_answers_with_the_id_and_the_hash_of_the_body(
    client: Client, ledger: Ledger, method: str
) -> None:
    body = b"" if method == "GET" else b"x" * 3_000_000
    async with client.request(
        method, "/echo", data=io.BytesIO(body), headers={"x-request-id": "c-1"}
    ) as answer:
        text = await answer.text()
    digest = hashlib.sha256(body).hexdigest()
    assert (answer.status, text) == (200, f"c-1 {digest}\n")
    expected = {"x-request-id": "c-1", "x-body-sha256": digest, "x-app-pod": "pod-1"}
    assert {name: answer.headers[name] for name in expected} == expected
    assert ledger.document()["executed"] == {"c": [[1, 1]]}


async def test_a_stream_numbers_its_events_and_ends_with_their_hash(client: Client, ledger: Ledger) -> None:
    async with client.get("/stream?events=3&interval_ms=1", headers={"x-request-id": "c-7"}) as answer:
        text = await answer.text()
    events = "".join(f"id: {number}\ndata: c-7 {number}\n\n" for number in (1, 2, 3))
    assert text == events + f"event: end\ndata: {hashlib.sha256(events.encode()).hexdigest()}\n\n"
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.content_type == "text/event-stream"
    assert ledger.document()["executed"] == {"c": [[7, 7]]}


async def test_a_request_whose_body_never_arrived_in_full_was_not_executed(
    client: Client, ledger: Ledger
) -> None:
    reader, writer = await asyncio.open_connection(client.server.host, client.server.port)
    writer.write(b"POST /echo HTTP/1.1\r\nHost: a\r\nx-request-id: c-1\r\nContent-Length: 10\r\n\r\nhalf")
    writer.write_eof()
    await asyncio.wait_for(reader.read(), SOON_S)
    writer.close()
    assert ledger.document()["executed"] == {}


@pytest.mark.parametrize("query", ["events=-1", "events=x", "events=1000000", "interval_ms=99999999"])
async def test_a_stream_out_of_bounds_is_refused_and_not_executed(
    client: Client, ledger: Ledger, query: str
) -> None:
    async with client.get(f"/stream?{query}", headers={"x-request-id": "c-1"}) as answer:
        assert answer.status == 400
    assert ledger.document()["executed"] == {}


async def test_each_message_of_a_websocket_is_a_request(client: Client, ledger: Ledger) -> None:
    async with client.ws_connect("/ws") as websocket:
        for number, payload in enumerate((b"", b"x y", b"\xff\n"), 1):
            await websocket.send_bytes(b"c-%d %b" % (number, payload))
            assert await websocket.receive_str() == f"c-{number} {hashlib.sha256(payload).hexdigest()}"
        await websocket.send_str("c-4 text")
        assert await websocket.receive_str() == f"c-4 {hashlib.sha256(b'text').hexdigest()}"
    assert ledger.document()["executed"] == {"c": [[1, 4]]}


@pytest.mark.parametrize("to", ["", "pod-2", "pod-2:x", "pod-2:80/x", "pod-2:80%0d%0aX:y", "a@b:80"])
async def test_a_request_that_names_no_destination_is_refused(client: Client, to: str) -> None:
    async with client.post(f"/egress?to={to}") as answer:
        assert answer.status == 400
    async with client.get(
        f"/tunnel?to={to}", headers={"Upgrade": "tunnel", "Connection": "upgrade"}
    ) as answer:
        assert answer.status == 400


async def test_a_request_that_cannot_be_passed_on_is_answered_502_with_the_reason_and_not_executed(
    client: Client, ledger: Ledger
) -> None:
    async with client.post("/egress?to=pod-2:80", headers={"x-request-id": "c-1"}) as answer:
        assert answer.status == 502
        assert answer.headers["x-app-error"] == "the outbound listener: Connection refused"
    assert ledger.document()["executed"] == {}


async def test_the_admin_port_serves_ledger_clock_and_health(ledger: Ledger) -> None:
    ledger.record("c-1")
    async with TestClient(TestServer(admin(ledger, Pace()))) as client:
        async with client.get("/healthz") as answer:
            assert answer.status == 200
        before = time.time()
        async with client.get("/clock") as answer:
            assert before <= (await answer.json())["now"] <= time.time()
        async with client.get("/ledger") as answer:
            assert AppLedger.model_validate_json(await answer.text()).executed == {"c": [(1, 1)]}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


async def eventually_healthy(port: int) -> None:
    async with asyncio.timeout(SOON_S), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"http://127.0.0.1:{port}/healthz") as answer:
                    assert answer.status == 200
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)


async def test_the_process_ends_promptly_at_sigterm_though_a_connection_is_open() -> None:
    port, admin_port = free_port(), free_port()
    addresses = {"APP_LISTEN": f"127.0.0.1:{port}", "APP_ADMIN": f"127.0.0.1:{admin_port}"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app", cwd=IMAGE, env={**os.environ, **addresses}, stderr=subprocess.PIPE
    )
    try:
        await eventually_healthy(admin_port)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(2):
            _, complaints = await process.communicate()
        assert (process.returncode, complaints) == (0, b"")
        writer.close()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def test_an_address_without_a_port_is_refused_in_one_line() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "app"],
        cwd=IMAGE,
        env={**os.environ, "APP_LISTEN": "8080"},
        capture_output=True,
        text=True,
        timeout=SOON_S,
    )
    assert process.returncode == 1
    assert process.stderr == "APP_LISTEN: HOST:PORT expected, e.g. 127.0.0.1:8080, not '8080'\n"
