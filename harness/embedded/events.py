"""Events: what the agent and the controllers tell about objects, as `kubectl describe` shows it.

Equal events about one object are one object with a count. Writing happens beside the caller, in order; an
event whose namespace is gone is dropped. Knows nothing of who tells.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from harness.embedded.seams import EVENTS, Api, ApiError, Object

REMEMBERED = 4096  # events that may still be counted up; a real recorder keeps as many
Kind = Literal["Normal", "Warning"]


def rfc3339(seconds: float) -> str:
    """A point in time (Unix seconds) as the API writes it, to the second."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def unix(text: str) -> float:
    """The inverse of rfc3339, which also understands fractions and offsets."""
    return datetime.fromisoformat(text).timestamp()


class Recorder:
    """Tells events in the name of one component. `run` has to run for them to be written."""

    def __init__(
        self, api: Api, component: str, host: str = "", clock: Callable[[], float] = time.time
    ) -> None:
        self._api, self._component, self._host, self._clock = api, component, host, clock
        self._queue: asyncio.Queue[Object] = asyncio.Queue()
        self._written: OrderedDict[tuple[str, ...], tuple[str, int]] = OrderedDict()
        self._serial = 0

    def event(self, about: Object, kind: Kind, reason: str, message: str, field_path: str = "") -> None:
        """Says `message` about an object, or about the part of it at `field_path`."""
        metadata, now = about["metadata"], rfc3339(self._clock())
        self._serial += 1
        reference = {
            "kind": about["kind"],
            "apiVersion": about["apiVersion"],
            "namespace": metadata.get("namespace"),
            "name": metadata["name"],
            "uid": metadata.get("uid", ""),
            "fieldPath": field_path,
        }
        name = f"{metadata['name']}.{int(self._clock() * 1e6):x}{self._serial & 0xFFF:03x}"
        self._queue.put_nowait(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": name, "namespace": metadata.get("namespace") or "default"},
                "involvedObject": {key: value for key, value in reference.items() if value},
                "type": kind,
                "reason": reason,
                "message": message[:1024],
                "source": {"component": self._component, **({"host": self._host} if self._host else {})},
                "reportingComponent": self._component,
                "reportingInstance": self._host,
                "firstTimestamp": now,
                "lastTimestamp": now,
                "count": 1,
            }
        )

    async def run(self) -> None:
        """Writes what was told, until cancelled."""
        while True:
            event = await self._queue.get()
            try:
                await self._write(event)
            except ApiError:
                continue  # its namespace is going or gone; there is nobody left to read it

    async def _write(self, event: Object) -> None:
        about, namespace = event["involvedObject"], event["metadata"]["namespace"]
        key = (
            about.get("uid", ""),
            about.get("fieldPath", ""),
            event["type"],
            event["reason"],
            event["message"],
        )
        name, count = self._written.pop(key, ("", 0))
        if name:
            patch = {"count": count + 1, "lastTimestamp": event["lastTimestamp"]}
            try:
                await self._api.patch(EVENTS, name, patch, namespace)
            except ApiError as error:
                if error.code != 404:
                    raise
                name = ""  # it was deleted meanwhile
        if not name:
            created = await self._api.create(EVENTS, event, namespace)
            name, count = str(created["metadata"]["name"]), 0
        self._written[key] = name, count + 1
        while len(self._written) > REMEMBERED:
            self._written.popitem(last=False)
