"""What holds for all tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings

from tests import cases

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")  # how long an example takes depends on what else the machine does


def pytest_configure() -> None:
    # looptime asks for the current event loop before every test, also before one that has none; without this
    # Python makes it one, and nobody closes that.
    asyncio.set_event_loop(None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    cases.check(items)


@pytest.fixture
def signal_in_start(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[BaseException]], None]:
    """From its call on, whoever starts a thread meets that exception in `start`, when the thread runs already."""
    start = threading.Thread.start

    def arm(raised: type[BaseException]) -> None:
        def begin(thread: threading.Thread) -> None:
            start(thread)
            raise raised

        monkeypatch.setattr(threading.Thread, "start", begin)

    return arm
