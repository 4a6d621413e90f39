"""What the API keeps: objects in their storage version, one global resourceVersion, and a log of changes to
replay.

Objects in here are never changed in place: a write puts another one in their place, so readers may share
them. Knows nothing of kinds, defaults, admission or HTTP; a resource is a string such as `pods` or
`deployments.apps`.
"""

from __future__ import annotations

import asyncio
import bisect
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal, NamedTuple

from harness.embedded.seams import Object

FIRST_REVISION = (
    1000  # never "0" or "1": both have meanings of their own to clients, and to version annotations
)
LOG_LENGTH = (
    64  # changes kept per resource, twice that at times; a watcher that is further behind has to list again
)


def clone(value: Any) -> Any:
    """A deep copy of plain JSON; several times as fast as copy.deepcopy."""
    if isinstance(value, dict):
        return {key: clone(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clone(item) for item in value]
    return value


class Key(NamedTuple):
    """Where an object lies; the namespace is "" in cluster scope."""

    resource: str
    namespace: str
    name: str


class Stored:
    """An object as written, with its JSON text made once for all who read it."""

    __slots__ = ("_text", "object", "revision")

    def __init__(self, object: Object, revision: int) -> None:
        self.object, self.revision = object, revision
        self._text: bytes | None = None

    @property
    def text(self) -> bytes:
        """The object as JSON."""
        if self._text is None:
            self._text = json.dumps(self.object, separators=(",", ":")).encode()
        return self._text


class Change(NamedTuple):
    """One write. `before` is None for an addition; for a deletion `after` is the last state with the new
    revision.
    """

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    key: Key
    before: Stored | None
    after: Stored


class Exists(Exception):
    """Another object has that key."""


class Stale(Exception):
    """The object is gone or was written since it was read."""


class TooOld(Exception):
    """The log no longer reaches back to the revision asked for."""


class Cursor:
    """A reader's place in the log of one resource. Costs nothing while idle, however slow its reader is.

    A pinned cursor keeps the log from being cut behind it: readers in this process must not miss a change.
    """

    def __init__(self, storage: Storage, resource: str, revision: int, *, pinned: bool) -> None:
        self._storage, self._resource, self.revision, self.pinned = storage, resource, revision, pinned
        self._news = asyncio.Event()

    def wake(self) -> None:
        """There is something to read, or the end."""
        self._news.set()

    async def read(self, timeout_s: float | None = None) -> list[Change]:
        """The changes since the last read, at least one; nothing when the time is over or the storage
        closes.
        """
        late = False
        while not (changes := self._storage.since(self._resource, self.revision)):
            if late or self._storage.closed:
                return []
            self._news.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._news.wait()
            except TimeoutError:
                late = True  # look once more: a change may have come in the same instant
        self.revision = changes[-1].after.revision
        return changes

    def close(self) -> None:
        """Forgets the reader."""
        self._storage.forget(self._resource, self)


class Storage:
    """All objects of a cluster, in memory."""

    def __init__(self, log_length: int = LOG_LENGTH) -> None:
        self.revision = FIRST_REVISION
        self.closed = False
        self._log_length = log_length
        self._objects: dict[str, dict[Key, Stored]] = defaultdict(dict)
        self._log: dict[str, list[Change]] = defaultdict(list)
        self._cut: dict[str, int] = defaultdict(lambda: FIRST_REVISION)
        self._cursors: dict[str, set[Cursor]] = defaultdict(set)

    # -- reading ---------------------------------------------------------------------------------------------

    def get(self, key: Key) -> Stored | None:
        """The object, if there is one."""
        return self._objects[key.resource].get(key)

    def all(self, resource: str, namespace: str | None = None) -> list[Stored]:
        """All objects of a resource, by namespace and name."""
        objects = self._objects[resource]
        return [objects[key] for key in sorted(objects) if namespace is None or key.namespace == namespace]

    def resources(self) -> Iterator[str]:
        """Every resource that has objects."""
        return (resource for resource, objects in self._objects.items() if objects)

    # -- writing ---------------------------------------------------------------------------------------------

    def add(self, key: Key, object: Object) -> Stored:
        """A new object; Exists."""
        if key in self._objects[key.resource]:
            raise Exists
        return self._write("ADDED", key, None, object)

    def replace(self, key: Key, seen: Stored, object: Object) -> Stored:
        """Another state of the object that was `seen`; Stale. The same state again is not a write."""
        if self.get(key) is not seen:
            raise Stale
        if _same(seen.object, object):
            return seen
        return self._write("MODIFIED", key, seen, object)

    def remove(self, key: Key, seen: Stored, object: Object | None = None) -> Stored:
        """Deletes the object that was `seen`; Stale. `object` is its last state, if that is another one."""
        if self.get(key) is not seen:
            raise Stale
        return self._write("DELETED", key, seen, seen.object if object is None else object)

    def _write(
        self, type: Literal["ADDED", "MODIFIED", "DELETED"], key: Key, before: Stored | None, object: Object
    ) -> Stored:
        self.revision += 1
        metadata = {**object["metadata"], "resourceVersion": str(self.revision)}
        after = Stored({**object, "metadata": metadata}, self.revision)
        if type == "DELETED":
            del self._objects[key.resource][key]
        else:
            self._objects[key.resource][key] = after
        log = self._log[key.resource]
        log.append(Change(type, key, before, after))
        if len(log) > 2 * self._log_length:
            self._shorten(key.resource, log)
        for cursor in self._cursors[key.resource]:
            cursor.wake()
        return after

    def _shorten(self, resource: str, log: list[Change]) -> None:
        surplus = len(log) - self._log_length
        pinned = [cursor.revision for cursor in self._cursors[resource] if cursor.pinned]
        if pinned:
            surplus = min(surplus, bisect.bisect_right(log, min(pinned), key=_revision))
        if surplus > 0:
            self._cut[resource] = log[surplus - 1].after.revision
            del log[:surplus]

    # -- following -------------------------------------------------------------------------------------------

    def since(self, resource: str, revision: int) -> list[Change]:
        """All changes of a resource after a revision; TooOld."""
        if revision < self._cut[resource]:
            raise TooOld(f"too old resource version: {revision} ({self._cut[resource] + 1})")
        log = self._log[resource]
        return log[bisect.bisect_right(log, revision, key=_revision) :]

    def follow(self, resource: str, revision: int | None = None, *, pinned: bool = False) -> Cursor:
        """A place in the log after a revision, by default after now. Has to be closed."""
        cursor = Cursor(self, resource, self.revision if revision is None else revision, pinned=pinned)
        self._cursors[resource].add(cursor)
        return cursor

    def forget(self, resource: str, cursor: Cursor) -> None:
        """Takes a cursor out."""
        self._cursors[resource].discard(cursor)

    def followers(self) -> int:
        """How many cursors are open."""
        return sum(len(cursors) for cursors in self._cursors.values())

    def close(self) -> None:
        """Ends every reader's wait; nothing more is delivered."""
        self.closed = True
        for cursors in self._cursors.values():
            for cursor in cursors:
                cursor.wake()


def _revision(change: Change) -> int:
    return change.after.revision


def _same(before: Object, after: Object) -> bool:
    """Equal but for the resourceVersion."""
    old, new = before["metadata"], after["metadata"]
    if old.get("resourceVersion") != new.get("resourceVersion"):
        new = {**new, "resourceVersion": old.get("resourceVersion")}
    return bool(old == new) and {**before, "metadata": None} == {**after, "metadata": None}


async def follow(storage: Storage, resource: str) -> AsyncIterator[Change | None]:
    """What exists as additions, then None, then every change; for a reader in this process."""
    cursor = storage.follow(resource, pinned=True)
    try:
        for stored in storage.all(resource):
            metadata = stored.object["metadata"]
            yield Change(
                "ADDED", Key(resource, metadata.get("namespace", ""), metadata["name"]), None, stored
            )
        yield None
        while changes := await cursor.read():
            for change in changes:
                yield change
    finally:
        cursor.close()
