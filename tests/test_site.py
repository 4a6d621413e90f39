"""A run's place on a cluster: unique names, its marks, and nothing of others touched."""

from __future__ import annotations

import os
from typing import Any

import pytest

from harness.errors import ClusterError
from harness.site import lives, new_site, own
from tests.site import SITE
from tests.upgrade.fakes import Answer, FakeApi, refusal


def test_two_runs_of_one_second_have_places_of_their_own() -> None:
    one, other = new_site(1.0), new_site(1.0)
    assert one.run != other.run
    assert one.namespace.startswith("hotupgrade-19700101-000001-")
    assert one.labels != other.labels


def test_an_owner_lives_as_long_as_its_process() -> None:
    host, pid, ticks = own().split("/")
    assert lives(own()) is True
    assert lives(f"{host}/{pid}/{int(ticks) + 1}") is False  # its number was given to another
    assert lives(f"{host}/{2**22 + 1}/1") is False
    assert lives(f"elsewhere/{pid}/{ticks}") is None
    assert int(pid) == os.getpid()


def test_a_namespace_of_that_name_is_somebody_elses() -> None:
    with pytest.raises(ClusterError, match=r"cannot create namespace hotupgrade-1: .*exists"):
        SITE.create(FakeApi(lambda *_: refusal(409, "exists", "AlreadyExists")))


def test_the_namespace_carries_the_marks_of_the_run() -> None:
    sent: list[dict[str, Any]] = []

    def answer(method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> Answer:
        sent.append(body)
        return 201, {}

    SITE.create(FakeApi(answer))
    marks = {"labels": SITE.labels, "annotations": SITE.annotations}
    assert sent[0]["metadata"] == {"name": SITE.namespace, **marks}
