"""The messages of openkruise/samples' protocol: what is sent, and what is refused."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from sidecar import config
from sidecar.address import Address, peer_host
from sidecar.errors import ConfigError, PeerHandoverError
from sidecar.handover import sample

ADDRESS = Address("inet", "127.0.0.1", 9091)


def closed(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError as error:
        return error.errno == errno.EBADF
    return False


def read(**environment: str) -> config.Config:
    return config.read({"SIDECAR_RELEASE_FILE": "/nowhere", **environment})


@pytest.mark.parametrize("value", [None, ""])
def test_the_protocol_is_off_unless_it_is_asked_for(value: str | None) -> None:
    assert read(**({} if value is None else {"MIGRATION_PROTOCOL": value})).sample_socket is None


def test_the_protocol_is_switched_on_by_its_name_and_its_socket_is_the_samples() -> None:
    assert read(MIGRATION_PROTOCOL="kruise-sample").sample_socket == "/dev/shm/migrate.sock"


@pytest.mark.parametrize("value", ["sample", "KRUISE-SAMPLE", "1", " "])
def test_an_unknown_protocol_is_refused_with_the_one_that_is_known(value: str) -> None:
    with pytest.raises(ConfigError, match=r"MIGRATION_PROTOCOL=.* is unknown; give kruise-sample") as caught:
        read(MIGRATION_PROTOCOL=value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("listen", ["127.0.0.1:1,127.0.0.1:2", "[::]:9091", "unix:/tmp/in.sock"])
def test_what_the_sample_cannot_hand_over_is_refused_before_anything_starts(listen: str) -> None:
    with pytest.raises(ConfigError, match="give SIDECAR_LISTEN one HOST:PORT"):
        read(MIGRATION_PROTOCOL="kruise-sample", SIDECAR_LISTEN=listen)
    read(SIDECAR_LISTEN=listen)


def test_the_trigger_is_one_exact_request_to_the_listeners_port() -> None:
    assert sample.trigger(read(SIDECAR_LISTEN="0.0.0.0:9091")) == (
        b"GET /migrate HTTP/1.1\r\nHost: 127.0.0.1:9091"
    )


def test_success_is_understood_with_whatever_fields_the_answer_has() -> None:
    answer = b"HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: 7\r\nConnection: close\r\n\r\nsuccess"
    assert sample.read_answer(answer) == b"success"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"success",
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nfailed",
        b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsuccess\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\nsuccess",
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n",
        b"\x00" * 3000,
    ],
)
def test_any_other_answer_is_refused_in_one_line(answer: bytes) -> None:
    with pytest.raises(PeerHandoverError) as caught:
        sample.read_answer(answer)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("flag", [socket.MSG_TRUNC, socket.MSG_CTRUNC])
def test_a_message_that_was_cut_short_is_refused_and_what_came_is_closed(flag: int, tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(PeerHandoverError, match="cut short"):
        sample.judge(b"\0", [descriptor], flag, ADDRESS)
    assert closed(descriptor)


@pytest.mark.parametrize("count", [0, 2, 253])
def test_a_message_without_exactly_one_descriptor_is_refused(count: int, tmp_path: Path) -> None:
    descriptors = [os.open(tmp_path, os.O_RDONLY) for _ in range(count)]
    with pytest.raises(PeerHandoverError, match=f"{count} descriptors"):
        sample.judge(b"\0", descriptors, 0, ADDRESS)
    assert all(closed(descriptor) for descriptor in descriptors)


def test_the_end_of_the_sender_is_no_message() -> None:
    with pytest.raises(PeerHandoverError, match="hung up"):
        sample.judge(b"", [], 0, ADDRESS)


def test_a_descriptor_that_is_no_socket_is_refused_and_closed(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(PeerHandoverError, match="no socket"):
        sample.judge(b"\0", [descriptor], 0, ADDRESS)
    assert closed(descriptor)


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("fd00::1", "fd00::1"),
        ("::ffff:1:2", "::ffff:1:2"),
    ],
)
def test_an_ipv4_client_of_an_ipv6_socket_is_shown_as_ipv4(host: str, shown: str) -> None:
    assert peer_host(host) == shown
