"""What holds for all tests."""

import asyncio


def pytest_configure() -> None:
    # looptime asks for the current event loop before every test, also before one that has none; without this
    # Python makes it one, and nobody closes that.
    asyncio.set_event_loop(None)
