"""What holds for all tests."""

from __future__ import annotations

import asyncio

import pytest

from tests import cases


def pytest_configure() -> None:
    # looptime asks for the current event loop before every test, also before one that has none; without this
    # Python makes it one, and nobody closes that.
    asyncio.set_event_loop(None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    cases.check(items)
