"""What an outbound listener connects to: names of addresses, no sockets."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from sidecar.address import Address
from sidecar.config import read
from sidecar.proxy import outbound
from sidecar.proxy.destination import AllowList, address_of, split
from sidecar.proxy.head import RefusedError
from sidecar.proxy.service import Service

LISTENERS = (
    Address("inet", "0.0.0.0", 9091),
    Address("inet6", "::", 9092),
    Address("inet", "127.0.0.1", 15001),
    Address("unix", "/run/a"),
)
POD = "10.1.2.3"  # this pod's own address


def allowed(networks: str = "") -> AllowList:
    config = read({"SIDECAR_OUTBOUND_ALLOW": networks})
    return AllowList(config.outbound_allow, LISTENERS, lambda host: host in (POD, "127.0.0.1", "fd00::3"))


@pytest.mark.parametrize(
    ("host", "permitted"),
    [
        ("10.0.0.1", True),
        ("172.31.255.255", True),
        ("192.168.1.1", True),
        ("100.64.0.1", True),
        ("fd00::1", True),
        ("::ffff:10.0.0.1", True),
        ("8.8.8.8", False),
        ("172.32.0.1", False),
        ("127.0.0.1", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", False),
        ("169.254.169.254", False),
        ("::ffff:169.254.169.254", False),
        ("fe80::1", False),
        ("0.0.0.0", False),
        ("::", False),
        ("224.0.0.1", False),
        ("2001:db8::1", False),
    ],
)
def test_the_private_networks_are_permitted_and_nothing_else(host: str, permitted: bool) -> None:
    assert allowed().permits(address_of(host, 80)) is permitted


@pytest.mark.parametrize(
    ("networks", "host", "permitted"),
    [
        ("0.0.0.0/0", "8.8.8.8", True),
        ("0.0.0.0/0", "169.254.169.254", False),
        ("0.0.0.0/0", "127.0.0.1", False),
        ("0.0.0.0/0", "0.0.0.0", False),
        ("0.0.0.0/0", "fd00::1", False),
        ("0.0.0.0/0, ::/0", "2001:db8::1", True),
        ("0.0.0.0/0,::/0", "::1", False),
        ("0.0.0.0/0,::/0", "fe80::1", False),
        ("::/0", "::ffff:8.8.8.8", False),
        ("127.0.0.0/8", "127.0.0.1", True),
        ("::1/128", "::1", True),
        ("169.254.169.254", "169.254.169.254", True),
        ("169.254.169.254", "169.254.169.253", False),
        ("fe80::/10", "fe80::1", True),
        ("10.0.0.0/8", "192.168.1.1", False),
    ],
)
def test_networks_are_a_setting_and_special_ones_have_to_be_named(
    networks: str, host: str, permitted: bool
) -> None:
    assert allowed(networks).permits(address_of(host, 80)) is permitted


@pytest.mark.parametrize(
    ("host", "port", "permitted"),
    [
        ("127.0.0.1", 15001, False),
        ("::ffff:127.0.0.1", 15001, False),
        ("127.0.0.2", 15001, True),
        ("127.0.0.1", 15002, True),
        (POD, 9091, False),  # a wildcard listens there as well
        (POD, 8080, True),
        ("10.1.2.4", 9091, True),  # another pod's sidecar
        ("fd00::3", 9092, False),
        ("fd00::4", 9092, True),
    ],
)
def test_this_process_is_no_destination(host: str, port: int, permitted: bool) -> None:
    everything = allowed("0.0.0.0/0,::/0,127.0.0.0/8")
    assert everything.permits(address_of(host, port)) is permitted


@pytest.mark.parametrize(
    ("authority", "parts"),
    [
        (b"a.b:81", ("a.b", 81)),
        (b"a.b", ("a.b", 80)),
        (b"a.b:", ("a.b", 80)),
        (b"[fd00::1]:81", ("fd00::1", 81)),
        (b"[fd00::1]", ("fd00::1", 80)),
    ],
)
def test_an_authority_is_host_and_port(authority: bytes, parts: tuple[str, int]) -> None:
    assert split(authority, 80) == parts


@pytest.mark.parametrize("authority", [b"", b":80", b"a:0", b"a:65536", b"a:123456", b"fd00::1", b"[]:80"])
def test_an_authority_that_says_nothing_is_refused(authority: bytes) -> None:
    with pytest.raises(ValueError, match=r"b'"):
        split(authority, 80)


@pytest.mark.parametrize("authority", [b"a", b"a:", b"[::1]"])
def test_a_port_is_needed_where_there_is_no_default(authority: bytes) -> None:
    with pytest.raises(ValueError, match=r"b'"):
        split(authority)


class Resolver:
    """Names and their addresses; a list of answers, one for each question."""

    def __init__(self, *answers: list[str] | Exception) -> None:
        self.answers = list(answers)

    async def __call__(self, host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return [(0, socket.SOCK_STREAM, 6, "", (one, port)) for one in answer]


@pytest.fixture
async def dialled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that were connected to; those that end in .9 are not there."""
    seen: list[str] = []

    async def connect(address: Address, within_s: float) -> Any:
        seen.append(str(address))
        if address.host.endswith(".9"):
            raise ConnectionRefusedError
        return address

    monkeypatch.setattr(outbound, "connect", connect)
    return seen


async def dial(monkeypatch: pytest.MonkeyPatch, resolver: Resolver, authority: bytes = b"a:443") -> Any:
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolver)
    service = Service(read({}))
    try:
        return await service.outbound.dial(authority)
    finally:
        service.close()


async def test_the_connection_goes_to_the_address_that_was_checked(
    monkeypatch: pytest.MonkeyPatch, dialled: list[str]
) -> None:
    """A name that would answer with another address when it is asked again is not asked again."""
    resolver = Resolver(["10.0.0.1"], ["127.0.0.1"])
    await dial(monkeypatch, resolver)
    assert dialled == ["10.0.0.1:443"]
    assert len(resolver.answers) == 1


async def test_of_several_addresses_only_those_that_are_allowed_are_tried(
    monkeypatch: pytest.MonkeyPatch, dialled: list[str]
) -> None:
    await dial(monkeypatch, Resolver(["127.0.0.1", "10.0.0.9", "8.8.8.8", "::ffff:10.0.0.2", "10.0.0.3"]))
    assert dialled == ["10.0.0.9:443", "10.0.0.2:443"]


async def test_a_name_with_many_dead_addresses_is_given_up(
    monkeypatch: pytest.MonkeyPatch, dialled: list[str]
) -> None:
    with pytest.raises(ConnectionRefusedError):
        await dial(monkeypatch, Resolver([f"10.0.{number}.9" for number in range(50)]))
    assert len(dialled) == outbound.MOST_TRIES


@pytest.mark.parametrize(
    ("answer", "authority", "status", "reason"),
    [
        (["127.0.0.1", "169.254.169.254"], b"a:443", 403, "destination"),
        ([], b"a:443", 403, "destination"),
        (socket.gaierror(), b"a:443", 502, "resolve"),
        (UnicodeError(), b"a:443", 502, "resolve"),
        (TimeoutError(), b"a:443", 504, "resolve"),
        (["10.0.0.1"], b"a", 400, "target"),
    ],
)
async def test_what_cannot_be_connected_to_is_refused_by_its_reason(
    monkeypatch: pytest.MonkeyPatch,
    dialled: list[str],
    answer: list[str] | Exception,
    authority: bytes,
    status: int,
    reason: str,
) -> None:
    with pytest.raises(RefusedError) as caught:
        await dial(monkeypatch, Resolver(answer), authority)
    assert (caught.value.status, caught.value.reason) == (status, reason)
    assert dialled == []
