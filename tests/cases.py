"""Which test stands for which row of docs/handover-cases.md: the markers' numbers, and the table of `make cases`.

The page declares cases (`1`) and traps (`K1`), tests name them. Collects; runs nothing, and knows nothing of
what a case means.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "handover-cases.md"
WHERE = ROOT / "tests" / "sidecar"
# Name, what happens, what is correct; a dash in the last column: no sidecar can do anything about it.
_ROW = re.compile(r"\| (K?\d+) \| (.+?) \| (.+?) \|")
_MARKERS = {"case": "", "trap": "K"}


class Row(NamedTuple):
    """One case or trap."""

    name: str
    happens: str
    correct: str

    @property
    def concerns(self) -> bool:
        """Whether a sidecar can do anything about it."""
        return any(map(str.isalpha, self.correct))


def declared() -> dict[str, Row]:
    """The rows of the page, by name."""
    return {row[1]: Row(*row.groups()) for row in _ROW.finditer(PAGE.read_text())}


def named(item: pytest.Item) -> Iterator[str]:
    """The rows that a test's markers name."""
    for marker, prefix in _MARKERS.items():
        for mark in item.iter_markers(marker):
            yield from (f"{prefix}{number!r}" for number in mark.args or ("",))


def check(items: Iterable[pytest.Item]) -> None:
    """Ends the collection if a test names a row that is not declared."""
    rows = declared()
    for item in items:
        for name in named(item):
            if name not in rows:
                raise pytest.UsageError(f"{item.nodeid}: {PAGE.name} declares no case or trap {name}")


class Collected:
    """A pytest plugin: the tests of each row."""

    def __init__(self) -> None:
        self.tests: dict[str, list[str]] = defaultdict(list)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Parameters make no difference: a test is listed once."""
        for item in session.items:
            for name in named(item):
                test = item.nodeid.partition("[")[0].removeprefix(f"{WHERE.relative_to(ROOT)}/")
                if test not in self.tests[name]:
                    self.tests[name].append(test)


def main() -> int:
    """Prints the table; exit code 1 and the names of the rows without a test if there are any."""
    collected, output = Collected(), io.StringIO()
    with contextlib.redirect_stdout(output):
        code = pytest.main(["--collect-only", "-q", "--rootdir", str(ROOT), str(WHERE)], plugins=[collected])
    if code != pytest.ExitCode.OK:
        sys.stderr.write(output.getvalue())
        return int(code)
    rows = declared()
    for row in rows.values():
        sys.stdout.write(f"{row.name:>3}  {row.happens}\n")
        for test in collected.tests[row.name]:
            sys.stdout.write(f"       {test}\n")
    missing = [row.name for row in rows.values() if row.concerns and not collected.tests[row.name]]
    if missing:
        sys.stdout.write(f"no test stands for {', '.join(missing)}\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
