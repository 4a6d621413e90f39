"""`hotupgrade images bake`, as the release calls it."""

from __future__ import annotations

import json

from click.testing import CliRunner

from harness.cli.images import command


def test_a_registry_under_an_owner_with_capitals_is_written_in_small_letters() -> None:
    done = CliRunner().invoke(command, ["bake", "--registry", "ghcr.io/Some-Owner/Kit"])
    tags = [tag for target in json.loads(done.stdout)["target"].values() for tag in target["tags"]]
    assert tags
    assert all(tag.startswith("ghcr.io/some-owner/kit/") for tag in tags)
