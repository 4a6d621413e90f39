"""The protocol of the hotupgrade sample in openkruise/samples, both sides (docs/kruise-sample.md has the facts).

Initiator: the successor. It listens on a unix STREAM socket, then sends one HTTP request to the data port,
the trigger. The predecessor connects to that socket, sends one byte with one descriptor, its listener, and
answers the request: 200 and `success` or `failed`. Nothing else is ever said; nobody proves who he is.
Pairing: one trigger, one message, one answer; the message comes before the answer.
Partial reads: the message is one byte; without a descriptor, with several, or cut short it is refused.
Descriptors: the predecessor keeps its listener until the successor has hung up, having read the message.

Knows nothing of HTTP but the trigger and its answer.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
from collections.abc import Sequence
from typing import Protocol

from sidecar.address import Address, bind, check_listener
from sidecar.config import Config
from sidecar.errors import HandoverError, LocalHandoverError, PeerHandoverError
from sidecar.handover.channel import close_all, descriptors_in
from sidecar.handover.directory import peer_uid
from sidecar.handover.frames import MAX_DESCRIPTORS
from sidecar.listener import Kind, Listener

SUCCESS, FAILED = b"success", b"failed"
_TRIGGERED_AT = "127.0.0.1"
_MESSAGE = b"\0"  # a descriptor needs a byte to travel with
_SPACE = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)
_MAX_ANSWER = 4096


def trigger(config: Config) -> bytes:
    """The two lines that make a request the trigger, without the last CRLF."""
    return f"GET /migrate HTTP/1.1\r\nHost: {_TRIGGERED_AT}:{listener(config).address.port}".encode()


def listener(config: Config) -> Listener:
    """The one listener that is handed over."""
    return next(one for one in config.listeners if one.kind is Kind.INBOUND)


# -- as the successor ----------------------------------------------------------------------------------------


async def take(config: Config) -> socket.socket | None:
    """The listener of a predecessor that is a container of the sample; None if nobody serves the port.

    HandoverError says why there is none to be had. The real sample has closed its own copy by then, so
    whoever calls this binds next.
    """
    path, timeout_s = str(config.sample_socket), config.handover_timeout_s / 2
    try:
        waiting = bind(Address("unix", path))
    except OSError as error:
        raise LocalHandoverError(
            f"{path} cannot be listened on: {error.strerror}; is it another user's?"
        ) from error
    inode = os.lstat(path).st_ino
    try:
        async with asyncio.timeout(timeout_s):
            return await _take(config, waiting)
    except TimeoutError:
        raise PeerHandoverError(f"the sample's predecessor was silent for {timeout_s:g} s") from None
    finally:
        waiting.close()
        with contextlib.suppress(OSError):
            if os.lstat(path).st_ino == inode:  # else a later successor's
                os.unlink(path)


async def _take(config: Config, waiting: socket.socket) -> socket.socket | None:
    loop = asyncio.get_running_loop()
    message = loop.create_task(_receive(waiting, listener(config).address))
    answer = loop.create_task(_trigger(config))
    try:
        await asyncio.wait({message, answer}, return_when=asyncio.FIRST_COMPLETED)
        if not message.done() and await answer is None:
            return None
        # The sample answers only when its accept loop has ended, which may take one more connection:
        # it is not waited for.
        return await message
    finally:
        for task in (message, answer):
            task.cancel()
        await asyncio.gather(message, answer, return_exceptions=True)


async def _trigger(config: Config) -> bytes | None:
    """The answer, if it promises a listener; None if nobody listens on the port."""
    port = listener(config).address.port
    try:
        reader, writer = await asyncio.open_connection(_TRIGGERED_AT, port)
    except OSError:
        return None
    try:
        writer.write(trigger(config) + b"\r\nConnection: close\r\n\r\n")
        return read_answer(await _all(reader))
    except OSError as error:
        raise PeerHandoverError(f"the predecessor on port {port} gave no answer: {error}") from error
    finally:
        writer.close()


async def _all(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readexactly(_MAX_ANSWER)
    except asyncio.IncompleteReadError as error:
        return error.partial


def read_answer(answer: bytes) -> bytes:
    """The body of an answer to the trigger; PeerHandoverError unless it is `success`."""
    status, _, rest = answer.partition(b"\r\n")
    body = rest.partition(b"\r\n\r\n")[2]
    if status.split(b" ")[1:2] != [b"200"] or body != SUCCESS:
        raise PeerHandoverError(f"the predecessor answers GET /migrate with {status!r:.80}, {body!r:.80}")
    return body


async def _receive(waiting: socket.socket, address: Address) -> socket.socket:
    """The listener, from the first who may send one."""
    loop = asyncio.get_running_loop()
    while True:
        sender, _ = await loop.sock_accept(waiting)
        with sender:
            sender.setblocking(False)
            if not _trusted(sender):
                continue
            await _readable(sender)
            try:
                data, ancillary, flags, _ = sender.recvmsg(32, _SPACE, socket.MSG_CMSG_CLOEXEC)
            except OSError as error:
                raise PeerHandoverError(f"the predecessor hung up: {error.strerror}") from error
            return judge(data, descriptors_in(ancillary), flags, address)


def judge(data: bytes, descriptors: Sequence[int], flags: int, address: Address) -> socket.socket:
    """The listener that a message brought; PeerHandoverError closes what came."""
    refusal = ""
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        refusal = "its message was cut short: are there too few free descriptors here?"
    elif not data:
        refusal = "it hung up without a word"
    elif len(descriptors) != 1:
        refusal = f"its message brought {len(descriptors)} descriptors, not 1"
    if refusal:
        close_all(descriptors)
        raise PeerHandoverError(f"the sample's predecessor gives no listener: {refusal}")
    try:
        sock = socket.socket(fileno=descriptors[0])
    except OSError as error:
        close_all(descriptors)
        raise PeerHandoverError(f"what was offered for {address} is no socket") from error
    try:
        check_listener(sock, address)
    except PeerHandoverError:
        sock.close()
        raise
    return sock


# -- as the predecessor --------------------------------------------------------------------------------------


class Host(Protocol):
    """What the serving process does for a successor of the sample."""

    def offered(self) -> Sequence[tuple[Listener, int]]:
        """The listeners and their descriptors."""

    def log(self, event: str, **details: object) -> None:
        """One line."""

    def withdraw(self) -> None:
        """Closes the listeners."""

    def start_drain(self) -> None:
        """Serves what it has, and no more."""

    def handover_over(self, retired: bool) -> None:
        """This hand-over is history."""


class SamplePredecessor:
    """One hand-over to a successor of the sample, from the trigger on."""

    moved = 0  # connections: the sample takes none

    def __init__(self, host: Host, config: Config) -> None:
        self._host, self._config = host, config
        self._sending: asyncio.Task[None] | None = None

    async def triggered(self) -> bytes:
        """What the trigger is answered with. After `success` this process drains."""
        mine = listener(self._config)
        self._host.log("handover_requested", successor={"protocol": "kruise-sample"})
        self._sending = asyncio.get_running_loop().create_task(
            give(
                dict(self._host.offered())[mine],
                str(self._config.sample_socket),
                self._config.handover_timeout_s / 2,
            )
        )
        await asyncio.wait({self._sending})
        try:
            if self._sending.cancelled():
                raise LocalHandoverError("this process ends")
            self._sending.result()
        except HandoverError as error:
            self._host.log("handover_aborted", reason=str(error))
            self._host.handover_over(retired=False)
            return FAILED
        self._host.log("listener_sent", listeners=[str(mine)])
        # Not only stopped: a successor that dies asks at this port when it starts again, and would wait for
        # ever in the queue of a listener on which nobody accepts.
        self._host.withdraw()
        self._host.log("commit")
        self._host.start_drain()
        return SUCCESS

    def drained(self, counts: dict[str, int]) -> None:
        """The host's drain is over; the sample does not ask."""

    def stop(self, reason: str) -> None:
        """This process ends."""
        if self._sending is not None:
            self._sending.cancel()


async def give(descriptor: int, path: str, timeout_s: float) -> None:
    """Sends a listener; returns when the successor has read it and hung up. HandoverError: it has not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.get_running_loop().sock_connect(sock, path)
                if not _trusted(sock):
                    raise PeerHandoverError(f"{path} belongs to uid {peer_uid(sock)}; run both as one user")
                rights = array.array("i", [descriptor])
                sock.sendmsg([_MESSAGE], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
                await _readable(sock)
                if sock.recv(1):
                    raise PeerHandoverError(f"who listens on {path} talks, which the sample does not")
        except TimeoutError:
            raise PeerHandoverError(f"the sample's successor was silent for {timeout_s:g} s") from None
        except OSError as error:  # ECONNRESET: it hung up and had not read
            raise PeerHandoverError(f"nobody takes the listener at {path}: {error.strerror}") from error


def _trusted(sock: socket.socket) -> bool:
    """The sample runs as root unless it is told otherwise; root may do anything in this pod as it is."""
    return peer_uid(sock) in (0, os.geteuid())


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(sock.fileno(), ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(sock.fileno())
