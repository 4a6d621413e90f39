"""The API server: storage, engine and handlers together, served over TLS on sockets that it is given."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Sequence

import trustme
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from harness.embedded.api import discovery
from harness.embedded.api.engine import Engine
from harness.embedded.api.handlers import Handlers
from harness.embedded.api.inprocess import LocalApi
from harness.embedded.api.registry import Registry
from harness.embedded.api.storage import Storage
from harness.embedded.api.webhook import Caller
from harness.embedded.seams import Api, Node

MAJOR, MINOR = "1", "33"
GIT_VERSION = "v1.33.0+embedded"
FIRST_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
LOCAL_ADDRESSES = ("127.0.0.1", "localhost")
LARGEST_BODY = 3 * 1024 * 1024  # bytes; as etcd limits it in Kubernetes
KEEP_ALIVE_S = 300.0  # clients keep connections between polls; a closed one costs them a TLS handshake
CLOSED_WITHIN_S = 0.02  # some turns of the loop, in which transports see that their sockets are shut
STOP_WITHIN_S = 0.3  # for requests in flight; watches end by themselves before


class ApiServer:
    """One cluster's API. `start` serves it; `api` works from the start, also without sockets."""

    def __init__(self, *, token: str, addresses: Sequence[str] = ()) -> None:
        """`token` is what every client shows; `addresses` are names and IPs in the certificate besides
        loopback.
        """
        self._storage = Storage()
        self._caller = Caller()
        self._engine = Engine(self._storage, Registry(), self._caller)
        self._handlers = Handlers(self._engine, token, discovery.version(MAJOR, MINOR, GIT_VERSION))
        self._authority = trustme.CA()
        self._certificate = self._authority.issue_cert(*dict.fromkeys((*LOCAL_ADDRESSES, *addresses)))
        self._runner: web.ServerRunner | None = None
        self.api: Api = LocalApi(self._engine)

    @property
    def ca_pem(self) -> bytes:
        """The certificate that clients trust."""
        return self._authority.cert_pem.bytes()

    @property
    def version(self) -> str:
        """The version of Kubernetes that it says it is."""
        return GIT_VERSION

    @property
    def watchers(self) -> int:
        """How many watches are open, those of this process included."""
        return self._storage.followers()

    def attach_node(self, node: Node) -> None:
        """Who runs the pods; until then logs and exec are answered with 503."""
        self._handlers.attach_node(node)

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Serves on every socket, bound or listening."""
        await self._engine.ensure_namespaces(FIRST_NAMESPACES)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._certificate.configure_cert(context)
        server = web.Server(
            self._handlers,
            request_factory=_request,
            handler_cancellation=True,  # a client that goes takes its watch, log or command with it
            access_log=None,
            keepalive_timeout=KEEP_ALIVE_S,
            auto_decompress=False,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=STOP_WITHIN_S)
        await self._runner.setup()
        for listener in sockets:
            await web.SockSite(self._runner, listener, ssl_context=context).start()

    async def stop(self) -> None:
        """Ends every watch and request, closes the sockets; may be called twice."""
        self._storage.close()
        if self._runner is not None:
            sockets = self._connected()
            await self._runner.cleanup()
            self._runner = None
            for connection in sockets:
                with connection, contextlib.suppress(OSError):  # it has gone by itself
                    connection.shutdown(socket.SHUT_RDWR)  # or TLS waits for the client to say goodbye
            await asyncio.sleep(CLOSED_WITHIN_S if sockets else 0)
        await self._handlers.close()
        await self._caller.close()

    def _connected(self) -> list[socket.socket]:
        """The sockets of all connections, as descriptors of their own."""
        server = self._runner.server if self._runner else None
        transports = [connection.transport for connection in server.connections] if server else []
        return [
            socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
            for transport in transports
            if transport is not None and not transport.is_closing()
        ]


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=LARGEST_BODY)
