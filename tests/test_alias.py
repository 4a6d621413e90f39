"""Names of its own for an image in each upgrade."""

from __future__ import annotations

import pytest

from harness.alias import alias, release


@pytest.mark.parametrize("ref", ["sidecar:v1", "localhost:5000/team/proxy:v1.2", "proxy:hotupgrade.3"])
def test_an_alias_is_a_name_of_the_same_release(ref: str) -> None:
    assert alias(ref, 7) != ref
    assert release(alias(ref, 7)) == ref
    assert release(ref) == ref


@pytest.mark.parametrize("ref", ["sidecar@sha256:00", "sidecar", "localhost:5000/proxy"])
def test_what_has_no_tag_has_no_alias(ref: str) -> None:
    assert alias(ref, 7) == ref
