"""What /probe.sh runs: whether this container's process lives and plays its part, serving or idle."""

from __future__ import annotations

import os
import sys
import time

from sidecar.config import read
from sidecar.errors import SidecarError
from sidecar.handover.directory import path_of
from sidecar.handover.query import states

WITHIN_S = 0.8  # a probe's own time-out is 1 s by default
NOT_YET = frozenset({"starting", "arriving", "failed"})


def main() -> int:
    """Exit code 0 or 1, and one line."""
    try:
        config = read(os.environ)
    except SidecarError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    for state in states(path_of(config.directory, config.generation), time.monotonic() + WITHIN_S):
        phase = state.get("phase")
        sys.stdout.write(f"{phase}\n")
        return 1 if phase in NOT_YET else 0
    sys.stdout.write("no answer\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
