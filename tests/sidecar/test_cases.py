"""Every case of a hand-over has a test, and markers name cases that there are."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests import cases


def test_the_page_declares_thirty_two_cases_and_thirteen_traps() -> None:
    assert list(cases.declared()) == [*map(str, range(1, 33)), *(f"K{number}" for number in range(1, 14))]
    assert [row.name for row in cases.declared().values() if not row.concerns] == ["K1", "K2", "K9"]


def test_every_case_and_every_trap_that_concerns_a_sidecar_has_a_test() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "tests.cases"], cwd=cases.ROOT, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stdout.splitlines()[-1:] + found.stderr.splitlines()


@pytest.mark.parametrize("numbers", [(0,), (33,), (-1,), (), ("23",), ("K1",), (1.0,), (23, 40)])
def test_a_number_that_is_not_declared_ends_the_collection(
    numbers: tuple[object, ...], request: pytest.FixtureRequest
) -> None:
    request.node.add_marker(pytest.mark.case(*numbers))
    with pytest.raises(pytest.UsageError, match=r"handover-cases\.md declares no case or trap"):
        cases.check([request.node])
