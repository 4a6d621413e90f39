"""Events are kept by their number: those that were told longest ago go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from harness.embedded.controllers import expiry
from harness.embedded.events import Recorder
from harness.embedded.seams import EVENTS, ApiError
from tests.embedded.fakes import FakeApi, clock

pytestmark = pytest.mark.looptime

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "default", "uid": "1"}}
KEPT = 3


@asynccontextmanager
async def telling() -> AsyncIterator[tuple[FakeApi, Recorder]]:
    """A recorder, and the controller on the same API."""
    api = FakeApi()
    recorder = Recorder(api, "kubelet", clock=clock)
    tasks = [asyncio.create_task(expiry.run(api, KEPT)), asyncio.create_task(recorder.run())]
    try:
        yield api, recorder
    finally:
        assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()


async def tell(recorder: Recorder, *messages: str) -> None:
    for message in messages:
        recorder.event(POD, "Normal", "Said", message)
        await asyncio.sleep(1)


async def told(api: FakeApi) -> list[tuple[str, int]]:
    return [(event["message"], event["count"]) for event in await api.list(EVENTS)]


@pytest.mark.parametrize(
    ("messages", "kept"),
    [
        pytest.param("abcdefg", [("e", 1), ("f", 1), ("g", 1)], id="of many the last"),
        pytest.param("abcad", [("a", 2), ("c", 1), ("d", 1)], id="one told again is not an old one"),
        pytest.param("abcda", [("c", 1), ("d", 1), ("a", 1)], id="one taken away and told again begins anew"),
    ],
)
async def test_the_events_that_were_told_last_are_kept(messages: str, kept: list[tuple[str, int]]) -> None:
    async with telling() as (api, recorder):
        await tell(recorder, *messages)
        assert await told(api) == kept


async def test_events_that_others_delete_make_room() -> None:
    async with telling() as (api, recorder):
        await tell(recorder, *"abc")
        (first, *_) = await api.list(EVENTS)
        await api.delete(EVENTS, first["metadata"]["name"], "default")
        await tell(recorder, "d")
        assert await told(api) == [("b", 1), ("c", 1), ("d", 1)]


async def test_an_event_that_a_webhook_holds_on_to_stays_and_no_other_suffers() -> None:
    async with telling() as (api, recorder):
        api.refuse = lambda verb, resource, body: (
            ApiError(403, "Forbidden", "held") if verb == "delete" and body["message"] == "a" else None
        )
        await tell(recorder, *"abcdef")
        assert [message for message, _ in await told(api)] == ["a", "d", "e", "f"]
