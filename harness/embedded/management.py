"""How a cluster that lives on its own is found again: an abstract Unix socket per user and name, and no file.

The host opens the listening socket before the machine's namespaces exist, so that it stays in the host's network
namespace; the control plane serves it. One request a connection: a line of JSON `{"verb": …}`, answered by one line.
Verbs: `released` (with `pid`: the machine, as the host sees it), `describe` (answers `pid`, `kubeconfig`, `facts`).
An unknown verb is answered with `{"error": …}`. Both sides check that the other is the same user: anyone may bind or
connect to an abstract name.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from collections.abc import Callable
from typing import Any

from harness.errors import ClusterError

ANSWER_WITHIN_S = 5.0  # a control plane answers in milliseconds; one that is this slow is ill
CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: SO_PEERCRED


def _address(name: str) -> str:
    return f"\0hotupgrade/{os.getuid()}/{name}"


def _peer_uid(connection: socket.socket) -> int:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    return int(CREDENTIALS.unpack(credentials)[1])


def listen(name: str) -> socket.socket:
    """The listening socket for a new cluster of that name; FileExistsError if one is there."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(_address(name))
    except OSError as error:
        listener.close()
        raise FileExistsError(name) from error
    listener.listen()
    return listener


def ask(name: str, **request: Any) -> dict[str, Any] | None:
    """The answer of the cluster of that name, or None when there is none; ClusterError when it does not answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_WITHIN_S)
        try:
            connection.connect(_address(name))
        except ConnectionRefusedError:
            return None
        if _peer_uid(connection) != os.getuid():
            raise ClusterError(f"another user holds the name of cluster {name!r}; choose another with --name")
        try:
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as stream:
                answer = json.loads(stream.readline() or b"{}")
        except (OSError, ValueError) as error:
            raise ClusterError(
                f"cluster {name!r} does not answer: {error}; try again, or `hotupgrade cluster down`"
            ) from error
    if not isinstance(answer, dict) or "error" in answer:
        raise ClusterError(f"cluster {name!r}: {answer}")
    return answer


async def serve(
    listener: socket.socket, answer: Callable[[dict[str, Any]], dict[str, Any]]
) -> asyncio.Server:
    """Answers every request of this user by `answer`, which returns what is sent back."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            peer = writer.get_extra_info("socket")
            if _peer_uid(peer) == os.getuid():
                line = await asyncio.wait_for(reader.readline(), ANSWER_WITHIN_S)
                writer.write(json.dumps(answer(json.loads(line))).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError, TimeoutError):
            pass  # a caller that vanished or sent no JSON; it sees the end of the connection
        finally:
            writer.close()

    return await asyncio.start_unix_server(handle, sock=listener)
