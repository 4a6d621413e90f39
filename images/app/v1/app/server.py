"""The two HTTP faces of the application: traffic on loopback, where the sidecar finds it, and the admin port.

    GET|POST|PUT /echo                   200, body `<request id> <sha256 of the received body>\\n`
    GET /stream?events=N&interval_ms=M   200, server-sent events; the last has the hash of all before it
    GET /ws                              101, a WebSocket; each message `<request id> <payload>` is a request, and
                                         is answered `<request id> <sha256 of the payload>`
    POST /egress?to=HOST:PORT            what POST /echo there answers, by way of the outbound listener
    GET /tunnel?to=HOST:PORT             101, bytes to and from there, by way of the outbound listener
    GET /ledger, GET /clock, GET /healthz    on the admin port
    POST /slow?ms=M                      on the admin port: everything on the other one is answered so much later

A request counts as executed when its body has arrived in full, whether or not an answer gets through; one that is
passed on is the other application's. If it cannot be passed on, the answer is 502, and `x-app-error` says why.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import WSMsgType, web

from app import tunnel
from app.ledger import Ledger
from app.outbound import AUTHORITY, Outbound, OutboundError

KEEP_ALIVE_S = 600.0  # longer than any idle connection of a test: this side never closes one of the sidecar's
MAX_EVENTS = 100_000  # a typing error in a query must not keep a connection for days
MAX_INTERVAL_MS = 60_000
MAX_DELAY_MS = 60_000
PASSED_ON = ("x-request-id", "x-body-sha256", "x-app-pod", "content-type")  # of another application's answer
SHA256_OF_NOTHING = hashlib.sha256(b"").hexdigest()


@dataclass
class Pace:
    """How much later than at once the application answers."""

    delay_s: float = 0.0


def traffic(ledger: Ledger, outbound: Outbound, pace: Pace) -> web.Application:
    """The application proper."""

    @web.middleware
    async def keep_pace(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if pace.delay_s:
            await asyncio.sleep(pace.delay_s)
        return await handler(request)

    async def echo(request: web.Request) -> web.Response:
        request_id, digest = await _execute(request, ledger)
        return web.Response(
            body=f"{request_id} {digest}\n".encode(),
            content_type="text/plain",
            headers=_headers(request_id, digest, ledger.pod),
        )

    async def stream(request: web.Request) -> web.StreamResponse:
        events = _number(request, "events", 10, MAX_EVENTS)
        interval_s = _number(request, "interval_ms", 100, MAX_INTERVAL_MS) / 1000
        request_id, digest = await _execute(request, ledger)
        response = web.StreamResponse(headers=_headers(request_id, digest, ledger.pod))
        response.content_type = "text/event-stream"
        response.enable_chunked_encoding()
        await response.prepare(request)
        with suppress(ConnectionResetError):  # whoever has heard enough may leave
            await _send_events(response, request_id, events, interval_s)
        return response

    async def websocket(request: web.Request) -> web.StreamResponse:
        response = web.WebSocketResponse(compress=False)
        await response.prepare(request)
        async for message in response:
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                answer = _execute_message(message.data, ledger)
                with suppress(
                    ConnectionResetError
                ):  # the message is executed, whether or not its answer gets through
                    await response.send_str(answer)
        return response

    async def egress(request: web.Request) -> web.StreamResponse:
        to, body = _authority(request), await request.read()
        try:
            answer = await outbound.post(
                to, "/echo", {"x-request-id": request.headers.get("x-request-id", "")}, body
            )
        except OutboundError as error:
            return _not_passed_on(error)
        headers = {name: answer.headers[name] for name in PASSED_ON if name in answer.headers}
        return web.Response(status=answer.status, headers=headers, body=answer.body)

    async def connect(request: web.Request) -> web.StreamResponse:
        to = _authority(request)
        if request.headers.get("upgrade", "").lower() != "tunnel":
            raise web.HTTPUpgradeRequired(text="upgrade to `tunnel`\n")
        try:
            reader, writer = await outbound.connect(to)
        except OutboundError as error:
            return _not_passed_on(error)
        return await tunnel.join(request, reader, writer)

    application = web.Application(middlewares=[keep_pace])
    for method in ("GET", "POST", "PUT"):
        application.router.add_route(method, "/echo", echo)
    application.router.add_route("GET", "/stream", stream)
    application.router.add_route("GET", "/ws", websocket)
    application.router.add_route("POST", "/egress", egress)
    application.router.add_route("GET", "/tunnel", connect)
    return application


def admin(ledger: Ledger, pace: Pace) -> web.Application:
    """What the kubelet and the harness ask."""

    async def serve_ledger(request: web.Request) -> web.Response:
        return web.json_response(ledger.document())

    async def clock(request: web.Request) -> web.Response:
        return web.json_response({"now": time.time()})

    async def healthz(request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    application = web.Application()
    application.router.add_get("/ledger", serve_ledger)
    application.router.add_get("/clock", clock)

    async def slow(request: web.Request) -> web.Response:
        pace.delay_s = _number(request, "ms", 0, MAX_DELAY_MS) / 1000
        return web.Response(text="ok\n")

    application.router.add_get("/healthz", healthz)
    application.router.add_post("/slow", slow)
    return application


async def start(application: web.Application, host: str, port: int) -> web.AppRunner:
    """Serves an application until the runner is cleaned up."""
    runner = web.AppRunner(
        application,
        access_log=None,
        keepalive_timeout=KEEP_ALIVE_S,
        shutdown_timeout=0.2,
        handle_signals=False,
    )
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner


async def _execute(request: web.Request, ledger: Ledger) -> tuple[str, str]:
    """Receives the whole body, then records the request; returns its id and the body's hash."""
    digest = SHA256_OF_NOTHING
    if request.body_exists:
        received = hashlib.sha256()
        async for chunk in request.content.iter_any():
            received.update(chunk)
        digest = received.hexdigest()
    request_id = request.headers.get("x-request-id", "")
    ledger.record(request_id)
    return request_id, digest


def _execute_message(data: str | bytes, ledger: Ledger) -> str:
    """A message is a request of its own; returns its answer."""
    message = data.encode() if isinstance(data, str) else data
    request_id, _, payload = message.partition(b" ")
    ledger.record(request_id.decode("latin-1"))
    return f"{request_id.decode('latin-1')} {hashlib.sha256(payload).hexdigest()}"


def _not_passed_on(error: OutboundError) -> web.Response:
    return web.Response(status=502, headers={"x-app-error": str(error)}, text=f"{error}\n")


def _authority(request: web.Request) -> str:
    to = request.query.get("to", "")
    if not AUTHORITY.fullmatch(to):
        raise web.HTTPBadRequest(text=f"to: HOST:PORT expected, not {to!r}\n")
    return to


async def _send_events(response: web.StreamResponse, request_id: str, events: int, interval_s: float) -> None:
    sent = hashlib.sha256()
    for number in range(1, events + 1):
        event = f"id: {number}\ndata: {request_id} {number}\n\n".encode()
        sent.update(event)
        await response.write(event)
        if number < events:
            await asyncio.sleep(interval_s)
    await response.write(f"event: end\ndata: {sent.hexdigest()}\n\n".encode())
    await response.write_eof()


def _headers(request_id: str, digest: str, pod: str) -> dict[str, str]:
    return {"x-request-id": request_id, "x-body-sha256": digest, "x-app-pod": pod}


def _number(request: web.Request, name: str, default: int, most: int) -> int:
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and int(text) <= most):
        raise web.HTTPBadRequest(text=f"{name}: a number from 0 to {most}, not {text!r}\n")
    return int(text)
