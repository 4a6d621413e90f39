"""Takes the oldest events away where there are many, by when each was told last.

A real API server forgets an event after an hour; quick upgrades make thousands of them within less. Knows nothing of
what they say.
"""

from __future__ import annotations

from contextlib import suppress

from harness.embedded.controllers.queue import Key, key_of
from harness.embedded.seams import EVENTS, Api, ApiError

KEPT = 256  # what the pods of a small cluster tell in some minutes


async def run(api: Api, kept: int = KEPT) -> None:
    """Runs the controller until cancelled."""
    told: dict[Key, None] = {}  # in the order in which they were told last
    async for event in api.watch(EVENTS):
        if event.type == "SYNCED":
            continue
        key = key_of(event.object)
        told.pop(key, None)
        if event.type == "DELETED":
            continue
        told[key] = None
        if len(told) > kept:
            namespace, name = next(iter(told))
            del told[namespace, name]
            with suppress(ApiError):  # gone already, or a webhook holds on to it
                await api.delete(EVENTS, name, namespace)
