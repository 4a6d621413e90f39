"""Roles from the two version variables."""

from __future__ import annotations

import pytest

from sidecar.errors import ConfigError
from sidecar.role import Role, role_of, versions


@pytest.mark.trap(7, 8)
@pytest.mark.parametrize(
    ("version", "alt", "role"),
    [
        (None, None, Role.INITIAL),  # a cold SidecarSet, or no Kruise
        ("", "", Role.INITIAL),  # annotations that are missing
        (None, "7", Role.INITIAL),
        ("0", None, Role.IDLE),
        ("0", "1", Role.IDLE),
        ("0", "0", Role.IDLE),
        ("1", "0", Role.INITIAL),
        ("1", None, Role.INITIAL),
        ("5001", "0", Role.INITIAL),
        ("5001", "1", Role.SUCCESSOR),
        ("18446744073709551615", "18446744073709551614", Role.SUCCESSOR),
        ("1", "5001", Role.SILENT),
        ("9", "10", Role.SILENT),  # compared as numbers, not as text
    ],
)
def test_the_table_gives_each_pair_its_role(version: str | None, alt: str | None, role: Role) -> None:
    pairs = {"SIDECARSET_VERSION": version, "SIDECARSET_VERSION_ALT": alt}
    environment = {name: value for name, value in pairs.items() if value is not None}
    assert role_of(*versions(environment)) is role


def test_equal_versions_have_no_order_and_are_refused() -> None:
    with pytest.raises(ConfigError, match="both 7"):
        role_of(7, 7)


@pytest.mark.trap(7)
@pytest.mark.parametrize("text", ["-1", "x", "1.0", " 1", "0x1", "\u0661", "18446744073709551616", "9" * 30])
def test_what_is_no_64_bit_number_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError, match="SIDECARSET_VERSION_ALT"):
        versions({"SIDECARSET_VERSION": "1", "SIDECARSET_VERSION_ALT": text})
