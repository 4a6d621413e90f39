"""What a lap leaves behind when a signal ends it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

import pytest

from harness.cli.interrupt import Interrupted
from harness.lap import Lap

ENDS_WITHIN_S = 10.0  # a turn of the thread's loop, which waits on an event


class Counted:
    """A load that can be asked for its totals, and the lap that tells them."""

    def progress(self) -> tuple[int, int]:
        return 1, 0

    def traffic(self, sent: int, failed: int) -> None:
        pass


def test_a_signal_while_the_totals_thread_starts_leaves_no_thread(
    signal_in_start: Callable[[type[BaseException]], None],
) -> None:
    lap = object.__new__(Lap)
    lap._progress = cast(Any, Counted())
    signal_in_start(Interrupted)

    with pytest.raises(Interrupted), lap._totals(cast(Any, Counted())):
        pass

    for thread in [thread for thread in threading.enumerate() if thread.name == "totals"]:
        thread.join(ENDS_WITHIN_S)
    assert "totals" not in [thread.name for thread in threading.enumerate()]
