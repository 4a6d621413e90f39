"""A watch over HTTP: what happened since, what happens from now on, as JSON lines. One watch costs one
cursor.

Sequence of a watch: initial ADDED events if asked for, a bookmark that ends them if asked for, then
changes. `ERROR` with a 410 Status ends a watch that fell behind.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from harness.embedded.api.engine import Engine
from harness.embedded.api.negotiation import Wanted, truth, whole
from harness.embedded.api.refusals import bad_request, expired, status_of
from harness.embedded.api.resources import Kind
from harness.embedded.api.selectors import Selector
from harness.embedded.api.storage import Change, Cursor, Stored, TooOld
from harness.embedded.api.table import table
from harness.embedded.seams import ApiError, Object

BOOKMARK_EVERY_S = 60.0  # as Kubernetes does
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


@dataclass(frozen=True)
class Watch:
    """A watch as asked for. `since` is None for a start from the present."""

    kind: Kind
    namespace: str | None
    selector: Selector
    wanted: Wanted
    since: int | None = None
    initial: bool = True
    announce_end: bool = False
    bookmarks: bool = False
    timeout_s: float | None = None
    include: str = "Metadata"


def asked(
    kind: Kind, namespace: str | None, selector: Selector, wanted: Wanted, query: Mapping[str, str]
) -> Watch:
    """The watch that a query describes; ApiError 400."""
    version = query.get("resourceVersion", "")
    exact = version not in ("", "0")
    streamed = "sendInitialEvents" in query
    initial = truth(query, "sendInitialEvents") if streamed else not exact
    if streamed and query.get("resourceVersionMatch") != "NotOlderThan":
        raise bad_request("sendInitialEvents requires resourceVersionMatch=NotOlderThan")
    timeout = query.get("timeoutSeconds")
    bookmarks = truth(query, "allowWatchBookmarks")
    return Watch(
        kind,
        namespace,
        selector,
        wanted,
        since=whole(version, "resourceVersion") if exact and not initial else None,
        initial=initial,
        announce_end=streamed and initial and bookmarks,
        bookmarks=bookmarks,
        timeout_s=whole(timeout, "timeoutSeconds") if timeout and timeout != "0" else None,
        include=query.get("includeObject") or "Metadata",
    )


class Lines:
    """Writes the events of one watch in the form that was asked for."""

    def __init__(self, watch: Watch) -> None:
        self._watch, self._head = watch, True

    def event(self, type: str, stored: Stored) -> bytes:
        """One line."""
        if self._watch.wanted.form == "object":
            text = stored.text
        else:
            text = json.dumps(self._formed(stored), separators=(",", ":")).encode()
        return b'{"type":"%s","object":%s}\n' % (type.encode(), text)

    def _formed(self, stored: Stored) -> Object:
        if self._watch.wanted.form == "metadata":
            return metadata_only(stored.object)
        head, self._head = self._head, False
        revision = str(stored.revision)
        return table(self._watch.kind, [stored.object], revision, include=self._watch.include, head=head)

    def bookmark(self, revision: int, *, end: bool = False) -> bytes:
        """Says up to where the reader has seen everything."""
        metadata: Object = {"resourceVersion": str(revision), "creationTimestamp": None}
        if end:
            metadata["annotations"] = {INITIAL_EVENTS_END: "true"}
        object: Object = {
            "kind": self._watch.kind.kind,
            "apiVersion": self._watch.kind.api_version,
            "metadata": metadata,
        }
        if self._watch.wanted.form == "metadata":
            object = metadata_only(object)
        elif self._watch.wanted.form == "table":
            row = {"cells": [], "object": metadata_only(object)}
            object = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "rows": [row]}
            object["columnDefinitions"] = None
        return b'{"type":"BOOKMARK","object":%s}\n' % json.dumps(object).encode()


def metadata_only(object: Object) -> Object:
    """A PartialObjectMetadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]}


async def lines(engine: Engine, watch: Watch) -> AsyncIterator[bytes]:
    """The watch's output, several lines at a time when there are several; ends with its time-out or the
    server.
    """
    storage, kind, written = engine.storage, watch.kind, Lines(watch)
    if watch.since is not None and watch.since > storage.revision:
        yield _failure(expired(f"too large resource version: {watch.since}, current: {storage.revision}"))
        return
    cursor = storage.follow(kind.resource, watch.since)
    try:
        if watch.initial:
            initial = await engine.select(kind, watch.namespace, watch.selector)
            if initial:
                yield b"".join(written.event("ADDED", stored) for stored in initial)
            if watch.announce_end:
                yield written.bookmark(cursor.revision, end=True)
        async for text in _changes(engine, watch, cursor, written):
            yield text
    except TooOld as error:
        yield _failure(expired(str(error)))
    except ApiError as error:  # a conversion webhook failed
        yield _failure(error)
    finally:
        cursor.close()


async def _changes(engine: Engine, watch: Watch, cursor: Cursor, written: Lines) -> AsyncIterator[bytes]:
    clock = asyncio.get_running_loop().time
    end = None if watch.timeout_s is None else clock() + watch.timeout_s
    while True:
        left = BOOKMARK_EVERY_S if end is None else min(BOOKMARK_EVERY_S, end - clock())
        changes = await cursor.read(max(left, 0))
        told = [event for change in changes if (event := selected(change, watch.namespace, watch.selector))]
        if told:
            shown = await engine.shown(watch.kind, [stored for _, stored in told])
            yield b"".join(written.event(type, stored) for (type, _), stored in zip(told, shown, strict=True))
        if changes:
            continue
        if engine.storage.closed:
            return
        if watch.bookmarks:
            cursor.revision = engine.storage.revision  # nothing of this resource happened up to now
            yield written.bookmark(cursor.revision)
        if end is not None and clock() >= end:
            return


def selected(change: Change, namespace: str | None, selector: Selector) -> tuple[str, Stored] | None:
    """The event that a change is to someone who selects: an object that begins or ceases to match comes or
    goes.
    """
    if namespace is not None and change.key.namespace != namespace:
        return None
    matched = change.before is not None and selector.matches(change.before.object)
    matches = change.type != "DELETED" and selector.matches(change.after.object)
    if matches:
        return ("MODIFIED" if matched else "ADDED"), change.after
    if not matched or change.before is None:
        return None
    if change.type == "DELETED":
        return "DELETED", change.after
    last = change.before.object
    metadata = {**last["metadata"], "resourceVersion": str(change.after.revision)}
    return "DELETED", Stored({**last, "metadata": metadata}, change.after.revision)


def _failure(error: ApiError) -> bytes:
    return b'{"type":"ERROR","object":%s}\n' % json.dumps(status_of(error)).encode()
