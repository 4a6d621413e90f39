"""The exec subresource: a command's streams over a WebSocket.

Sub-protocols `v5.channel.k8s.io` and `v4.channel.k8s.io`. Each message is a channel number in one byte,
then data: 0 standard input, 1 output, 2 error output, 3 a Status at the end, 4 a terminal's size as
{"Width", "Height"}. In v5, 255 and a channel number ends that channel. Clients may send text frames in the
place of binary ones; an unknown channel is ignored.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence

from aiohttp import WSMsgType, web

from harness.embedded.api.negotiation import truth
from harness.embedded.api.refusals import bad_request, success, unsupported
from harness.embedded.seams import Node, Object, Session

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
OUTPUT = {"stdout": STDOUT, "stderr": STDERR}
KILLED_WITHIN_S = 5.0  # a command that a client left is waited for no longer than this


def chosen_container(pod: Object, name: str, *, running: bool) -> str:
    """The container meant, the only one when none is named; ApiError 400."""
    spec = pod["spec"]
    containers = [item["name"] for item in spec.get("containers") or ()]
    every = containers + [item["name"] for item in spec.get("initContainers") or ()]
    default = (pod["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/default-container")
    if not name:
        if len(containers) > 1 and default not in containers:
            choices = " ".join(containers)
            title = pod["metadata"]["name"]
            raise bad_request(
                f"a container name must be specified for pod {title}, choose one of: [{choices}]"
            )
        name = str(default) if default in containers else containers[0]
    if name not in every:
        raise bad_request(f"container {name} is not valid for pod {pod['metadata']['name']}")
    if running and not _runs(pod, name):
        raise bad_request(f'container "{name}" in pod "{pod["metadata"]["name"]}" is not running')
    return name


def _runs(pod: Object, name: str) -> bool:
    """False only if its status says so: a container whose hook still runs is told of late."""
    status = pod.get("status") or {}
    items = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    states = [item.get("state") or {} for item in items if item.get("name") == name]
    return not states or "terminated" not in states[0]


async def run(
    request: web.BaseRequest, node: Node, pod: Object, query: Mapping[str, str], command: Sequence[str]
) -> web.StreamResponse:
    """Serves one exec request; ApiError before the WebSocket is opened, a Status on channel 3 after."""
    if not command:
        raise bad_request("you must specify at least one command for the container")
    container = chosen_container(pod, query.get("container", ""), running=True)
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise unsupported("exec over SPDY; use a client that speaks WebSocket (kubectl 1.30 or newer)")
    socket = web.WebSocketResponse(protocols=PROTOCOLS, autoping=True)
    if not socket.can_prepare(request).ok:
        raise bad_request(f"exec needs a WebSocket with one of the sub-protocols {', '.join(PROTOCOLS)}")
    metadata = pod["metadata"]
    wants_input, tty = truth(query, "stdin"), truth(query, "tty")
    session = await node.exec(
        metadata["namespace"], metadata["name"], container, command, stdin=wants_input, tty=tty
    )
    ended = False
    try:
        await socket.prepare(request)
        ended = await _converse(socket, session, wants_input=wants_input)
    finally:
        if not ended:
            await session.kill()
            async with asyncio.timeout(KILLED_WITHIN_S):
                await session.wait()
    return socket


async def _converse(socket: web.WebSocketResponse, session: Session, *, wants_input: bool) -> bool:
    """Carries streams until the command or the client ends; whether the command did."""
    await socket.send_bytes(
        bytes([STDOUT])
    )  # clients wait for a first message to know that they are connected
    incoming = asyncio.create_task(_incoming(socket, session, wants_input=wants_input))
    outgoing = asyncio.create_task(_outgoing(socket, session))
    try:
        await asyncio.wait((incoming, outgoing), return_when=asyncio.FIRST_COMPLETED)
        if not outgoing.done():
            return False
        await outgoing
        await socket.close()
        return True
    finally:
        for task in (incoming, outgoing):
            task.cancel()
        await asyncio.gather(incoming, outgoing, return_exceptions=True)


async def _incoming(socket: web.WebSocketResponse, session: Session, *, wants_input: bool) -> None:
    async for message in socket:
        data = message.data.encode() if message.type is WSMsgType.TEXT else message.data
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY) or not data:
            continue
        channel, data = data[0], data[1:]
        if channel == STDIN and wants_input and data:
            await session.write(data)
        elif channel == CLOSE and data[:1] == bytes([STDIN]):
            await session.close_input()
        elif channel == RESIZE:
            await _resize(session, data)


async def _resize(session: Session, data: bytes) -> None:
    try:
        size = json.loads(data)
        columns, rows = int(size["Width"]), int(size["Height"])
    except (ValueError, TypeError, KeyError):
        return  # not a size; the terminal keeps the one it has
    await session.resize(columns, rows)


async def _outgoing(socket: web.WebSocketResponse, session: Session) -> None:
    while (output := await session.read()) is not None:
        stream, data = output
        await socket.send_bytes(bytes([OUTPUT[stream]]) + data)
    status = exit_status(await session.wait())
    await socket.send_bytes(bytes([ERROR]) + json.dumps(status).encode())


def exit_status(code: int) -> Object:
    """How a command's end is told on channel 3."""
    if code == 0:
        return success()
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }
