"""What hooks and probes do: run a command, ask over HTTP, open a TCP connection, sleep.

Knows nothing of thresholds, of what follows from a failure, or of when an action is due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import aiohttp

from harness.embedded.seams import Object, Runtime, RuntimeFailure, Session

OUTPUT_LIMIT = 10 * 1024  # bytes of a probe's output that are kept, as a kubelet keeps them
BODY_LIMIT = 10 * 1024  # bytes of an answer that are read
DRAIN_S = 0.1  # for what a command wrote before it ended; its children may hold the pipe open for ever
CONNECT_LIMIT_S = 30.0  # for hooks, which have no time-out of their own
AGENT_HEADER = "kube-probe/1.33"


class ActionUnknown(Exception):
    """The action could not be carried out, which says nothing about the container."""


@dataclass(frozen=True)
class Outcome:
    """How an action went, and what there is to say about it."""

    ok: bool
    detail: str = ""


@dataclass(frozen=True)
class Target:
    """The container that an action is for."""

    container: str
    address: str
    ports: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: Object, container: str, address: str) -> Target:
        """The target for a container's spec, with its named ports."""
        named = {
            port["name"]: int(port["containerPort"]) for port in spec.get("ports") or [] if "name" in port
        }
        return cls(container, address, named)

    def port(self, port: int | str) -> int:
        """A port by number or by name."""
        if isinstance(port, int) or port.isdigit():
            return int(port)
        if port not in self.ports:
            raise ActionUnknown(f"couldn't find port: {port}")
        return self.ports[port]


class Network(Protocol):
    """How the agent reaches pods. Raises OSError or TimeoutError."""

    async def http(self, url: str, headers: Mapping[str, str], timeout: float) -> tuple[int, str]:
        """Status and beginning of the body of a GET; redirects are not followed."""

    async def tcp(self, host: str, port: int, timeout: float) -> None:
        """Opens a connection and closes it."""


class PodNetwork:
    """The network as the agent's process sees it."""

    async def http(self, url: str, headers: Mapping[str, str], timeout: float) -> tuple[int, str]:
        """One connection per question, as a kubelet does it; certificates are not checked."""
        connector = aiohttp.TCPConnector(force_close=True, ssl=False)
        limit = aiohttp.ClientTimeout(total=timeout)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=limit) as session,
                session.get(url, headers=dict(headers), allow_redirects=False) as response,
            ):
                body = await response.content.read(BODY_LIMIT)
                return response.status, body.decode(errors="replace")
        except aiohttp.ClientError as error:
            raise OSError(str(error)) from error

    async def tcp(self, host: str, port: int, timeout: float) -> None:
        """Opens a connection and closes it."""
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(host, port)
        writer.close()


class Actions:
    """Carries out the actions of hooks and probes."""

    def __init__(self, runtime: Runtime, network: Network) -> None:
        self._runtime, self._network = runtime, network

    async def run(self, action: Object, target: Target, timeout: float | None = None) -> Outcome:
        """Does what the action asks for; ActionUnknown when it could not be tried. `timeout` in seconds."""
        if "exec" in action:
            return await self._exec(action["exec"].get("command") or [], target, timeout)
        if "httpGet" in action:
            return await self._http(action["httpGet"], target, timeout or CONNECT_LIMIT_S)
        if "tcpSocket" in action:
            return await self._tcp(action["tcpSocket"], target, timeout or CONNECT_LIMIT_S)
        if "sleep" in action:
            await asyncio.sleep(action["sleep"]["seconds"])
            return Outcome(True)
        raise ActionUnknown(f"an action of the kind {', '.join(action) or '(none)'} is not known")

    async def _exec(self, command: Sequence[str], target: Target, timeout: float | None) -> Outcome:
        try:
            session = await self._runtime.exec(target.container, command)
        except RuntimeFailure as error:
            raise ActionUnknown(f"failed to exec in container: {error}") from error
        output = bytearray()
        reader = asyncio.create_task(_read(session, output))
        try:
            async with asyncio.timeout(timeout):
                code = await session.wait()
            await asyncio.wait({reader}, timeout=DRAIN_S)
        except TimeoutError:
            await session.kill()
            return Outcome(False, f'command timed out: "{" ".join(command)}" timed out after {timeout:g}s')
        except asyncio.CancelledError:
            await session.kill()
            raise
        finally:
            reader.cancel()
        text = bytes(output).decode(errors="replace")
        return Outcome(code == 0, text if code == 0 or text else f"exit code {code}")

    async def _http(self, action: Object, target: Target, timeout: float) -> Outcome:
        scheme, host = str(action.get("scheme") or "HTTP").lower(), action.get("host") or target.address
        path = action.get("path") or "/"
        url = f"{scheme}://{host}:{target.port(action['port'])}{path if path.startswith('/') else '/' + path}"
        headers = {"User-Agent": AGENT_HEADER, "Accept": "*/*"}
        headers |= {header["name"]: header["value"] for header in action.get("httpHeaders") or []}
        try:
            status, body = await self._network.http(url, headers, timeout)
        except (OSError, TimeoutError) as error:
            return Outcome(False, f'Get "{url}": {error or "no answer in time"}')
        if 200 <= status < 400:
            return Outcome(True, body)
        return Outcome(False, f"HTTP probe failed with statuscode: {status}")

    async def _tcp(self, action: Object, target: Target, timeout: float) -> Outcome:
        host, port = action.get("host") or target.address, target.port(action["port"])
        try:
            await self._network.tcp(host, port, timeout)
        except (OSError, TimeoutError) as error:
            return Outcome(False, f"dial tcp {host}:{port}: {error or 'no answer in time'}")
        return Outcome(True)


async def _read(session: Session, output: bytearray) -> None:
    while (chunk := await session.read()) is not None:
        output += chunk[1][: max(0, OUTPUT_LIMIT - len(output))]
