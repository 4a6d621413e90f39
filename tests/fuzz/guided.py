"""One target under atheris: `python -m tests.fuzz.guided NAME` with libFuzzer's options.

Needs the package atheris (`pip install -e '.[fuzz]'`), which nothing else here does.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["sidecar", "json"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Ends the process, with the bytes of a finding among what it prints."""
    _, name, *options = sys.argv
    target = next(target for target in TARGETS if target.name == name)
    atheris.Setup([name, *options], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
