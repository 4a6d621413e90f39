"""What /migrate.sh runs, in every start of the container: waits until Kruise may empty the predecessor.

Returns 0 when this container's process serves and its predecessor, if it had one, is drained or gone. Fails
only before the commit: a hook that fails kills the container, which holds every connection by then. It may
run before the entry point's first line, and matches this start's generation, so that what earlier ones left
means nothing.
"""

from __future__ import annotations

import os
import sys
import time

from sidecar.config import Config, read
from sidecar.errors import SidecarError
from sidecar.handover.directory import path_of
from sidecar.handover.query import states
from sidecar.role import Role, role_of

START_S = 10.0  # for the process beside the hook to come up, on a busy machine
DRAIN_SLACK_S = 1.0  # beyond the predecessor's own deadline, for its last word


def main() -> int:
    """Exit code 0, or 1 with one line on standard error."""
    try:
        config = read(os.environ)
        role = role_of(config.version, config.alt)
    except SidecarError as error:
        return _fail(str(error))
    if role in (Role.IDLE, Role.SILENT):
        return 0
    return wait(config)


def wait(config: Config) -> int:
    """Follows the process's states to the one that counts."""
    committed = False
    reason = "the sidecar did not start, or ended before it served"
    deadline = time.monotonic() + START_S + 2 * config.handover_timeout_s
    path = path_of(config.directory, config.generation)
    for state in states(path, deadline):
        if state.get("settled"):
            return 0
        if state.get("committed"):
            committed = True
            break
        reason = str(state.get("reason") or "the hand-over was not committed in time")
    if not committed:
        return _fail(reason)
    for state in states(path, time.monotonic() + config.drain_deadline_s + DRAIN_SLACK_S):
        if state.get("settled"):
            break
    return 0


def _fail(reason: str) -> int:
    sys.stderr.write(f"migrate.sh: {reason}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
