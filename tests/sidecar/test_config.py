"""The environment: defaults, and one clear line for what is wrong."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from sidecar.address import Address, parse
from sidecar.config import read
from sidecar.errors import ConfigError
from sidecar.listener import Kind


@pytest.mark.trap(8, 11)
def test_an_empty_environment_has_sane_defaults() -> None:
    config = read({})
    assert [listener.address for listener in config.listeners] == [Address("inet", "0.0.0.0", 9091)]
    assert config.upstream == Address("inet", "127.0.0.1", 8080)
    assert config.directory == f"/dev/shm/sidecar-{os.geteuid()}"
    assert (config.version, config.alt, config.generation) == (None, 0, "unset")
    assert config.drain_deadline_s + config.handover_timeout_s < 30  # a pod's usual grace


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", Address("inet", "127.0.0.1", 80)),
        ("localhost:80", Address("inet", "127.0.0.1", 80)),
        ("[::]:9091", Address("inet6", "::", 9091)),
        ("[0:0::1]:9091", Address("inet6", "::1", 9091)),
        ("unix:/run/a.sock", Address("unix", "/run/a.sock")),
    ],
)
def test_addresses_are_read(text: str, address: Address) -> None:
    assert parse(text, "X") == address
    assert parse(str(address), "X") == address


def test_a_path_need_not_be_text() -> None:
    for name in ("SIDECAR_LISTEN", "SIDECAR_UPSTREAM"):
        assert read({name: os.fsdecode(b"unix:/run/\xff")})
    assert read({"SIDECAR_HANDOVER_DIR": os.fsdecode(b"/run/\xff")}).directory == os.fsdecode(b"/run/\xff")


def test_listeners_are_a_list() -> None:
    config = read({"SIDECAR_LISTEN": "0.0.0.0:1, [::]:1,unix:/tmp/x"})
    assert [str(one) for one in config.listeners] == ["0.0.0.0:1", "[::]:1", "unix:/tmp/x"]


def test_outbound_listeners_are_on_loopback() -> None:
    config = read({"SIDECAR_OUTBOUND": "127.0.0.1:15001, [::1]:15001, unix:/run/out, localhost:1"})
    assert {one.kind for one in config.listeners[1:]} == {Kind.OUTBOUND}
    assert len(config.listeners) == 5
    assert len(read({"SIDECAR_OUTBOUND": ""}).listeners) == 1


def test_raw_listeners_name_their_targets() -> None:
    config = read({"SIDECAR_TCP": "0.0.0.0:5432=127.0.0.1:5433, [::]:6379=unix:/run/redis"})
    assert [(str(one), one.kind, str(one.target)) for one in config.listeners[1:]] == [
        ("0.0.0.0:5432", Kind.TCP, "127.0.0.1:5433"),
        ("[::]:6379", Kind.TCP, "unix:/run/redis"),
    ]
    assert len(read({"SIDECAR_TCP": ""}).listeners) == 1


@pytest.mark.parametrize("address", ["127.0.0.1:15000", "127.1.2.3:1", "[::1]:15000", "unix:/run/admin.sock"])
def test_the_admin_listener_is_one_of_this_machine_alone(address: str) -> None:
    listeners = read({"SIDECAR_ADMIN": address}).listeners
    assert [(str(one), one.kind) for one in listeners][1:] == [(address, Kind.ADMIN)]
    with pytest.raises(ConfigError, match="twice"):
        read({"SIDECAR_ADMIN": address, "SIDECAR_LISTEN": address})


@pytest.mark.parametrize(
    ("hard", "wanted", "found"),
    [
        (20_320, "", 10_000),  # two descriptors each
        (20_320, "20000", 20_000),  # who sets it may rely on idle ones
        (10**9, "", 50_000),
        (resource.RLIM_INFINITY, "", 50_000),
        (resource.RLIM_INFINITY, "70000", 70_000),
        (100, "", 25),
        (1, "", 1),
    ],
)
def test_how_many_connections_there_may_be_follows_from_the_descriptors(
    hard: int, wanted: str, found: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (64, hard))
    assert read({"SIDECAR_MAX_CONNECTIONS": wanted}).max_connections == found


def test_more_connections_than_descriptors_are_a_wrong_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (64, 20_320))
    with pytest.raises(ConfigError, match="at most 20000"):
        read({"SIDECAR_MAX_CONNECTIONS": "20001"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SIDECAR_LISTEN", "9091"),
        ("SIDECAR_LISTEN", "host:9091"),
        ("SIDECAR_LISTEN", "::1:9091"),
        ("SIDECAR_LISTEN", "[127.0.0.1]:9091"),
        ("SIDECAR_LISTEN", "0.0.0.0:0"),
        ("SIDECAR_LISTEN", "0.0.0.0:65536"),
        ("SIDECAR_LISTEN", "0.0.0.0:1,0.0.0.0:1"),
        ("SIDECAR_LISTEN", "unix:relative"),
        ("SIDECAR_LISTEN", "unix:/a\nb,unix:/a\nb"),
        ("SIDECAR_LISTEN", ",".join(f"unix:/{number}" for number in range(254))),
        ("SIDECAR_UPSTREAM", "unix:/" + "a" * 108),
        ("SIDECAR_UPSTREAM", ""),
        ("SIDECAR_OUTBOUND", "0.0.0.0:15001"),
        ("SIDECAR_OUTBOUND", "10.0.0.1:15001"),
        ("SIDECAR_OUTBOUND", "[::]:15001"),
        ("SIDECAR_OUTBOUND", "[::ffff:127.0.0.1]:15001"),
        ("SIDECAR_OUTBOUND", "127.0.0.1"),
        ("SIDECAR_OUTBOUND", "127.0.0.1:1,127.0.0.1:1"),
        ("SIDECAR_OUTBOUND_ALLOW", "10.0.0.0/8,pods"),
        ("SIDECAR_OUTBOUND_ALLOW", "10.0.0.1/8"),
        ("SIDECAR_OUTBOUND_ALLOW", "10.0.0.0/8,"),
        ("SIDECAR_TCP", "0.0.0.0:5432"),
        ("SIDECAR_TCP", "0.0.0.0:5432=5433"),
        ("SIDECAR_TCP", "0.0.0.0=127.0.0.1:5433"),
        ("SIDECAR_TCP", "0.0.0.0:5432=127.0.0.1:5433,"),
        ("SIDECAR_TCP", "0.0.0.0:9091=127.0.0.1:5433"),
        ("SIDECAR_TCP", "0.0.0.0:5432=127.0.0.1:5432"),
        ("SIDECAR_TCP", "127.0.0.1:5432=127.0.0.1:5432"),
        ("SIDECAR_TCP", "127.0.0.1:5432=127.0.0.1:9091"),
        ("SIDECAR_TCP", "unix:/a=unix:/a"),
        ("SIDECAR_HANDOVER_DIR", "relative"),
        ("SIDECAR_HANDOVER_DIR", "/" + "a" * 61),
        ("SIDECAR_DRAIN_DEADLINE_S", "soon"),
        ("SIDECAR_DRAIN_DEADLINE_S", "0"),
        ("SIDECAR_DRAIN_DEADLINE_S", "nan"),
        ("SIDECAR_DRAIN_DEADLINE_S", "-1"),
        ("SIDECAR_HEADER_LIMIT", "64k"),
        ("SIDECAR_HEADER_LIMIT", "0"),
        ("SIDECAR_ADMIN", "0.0.0.0:15000"),
        ("SIDECAR_ADMIN", "[::]:15000"),
        ("SIDECAR_ADMIN", "10.0.0.1:15000"),
        ("SIDECAR_ADMIN", "15000"),
        ("SIDECAR_ADMIN", "127.0.0.1:1,127.0.0.1:2"),
        ("SIDECAR_MAX_CONNECTIONS", "0"),
        ("SIDECAR_MAX_CONNECTIONS", "many"),
        ("SIDECAR_MAX_CONNECTIONS", "-1"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_variable(name: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read({name: value})
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_release_comes_from_the_image(tmp_path: Path) -> None:
    path = tmp_path / "release"
    path.write_text("v1.2-rc.1\n")
    assert read({"SIDECAR_RELEASE_FILE": str(path)}).release == "v1.2-rc.1"
    assert read({"SIDECAR_RELEASE_FILE": str(path) + "x"}).release == "unreleased"
    path.write_text("v1\r\nx-evil: 1")
    with pytest.raises(ConfigError, match="release"):
        read({"SIDECAR_RELEASE_FILE": str(path)})
