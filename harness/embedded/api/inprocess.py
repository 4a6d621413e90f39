"""The API for callers in this process: the same engine, so admission, defaults and refusals are the same."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator

from harness.embedded.api.engine import Engine
from harness.embedded.api.lifecycle import Options
from harness.embedded.api.patch import merge
from harness.embedded.api.selectors import Selector
from harness.embedded.api.storage import clone, follow
from harness.embedded.seams import Object, Resource, WatchEvent


class LocalApi:
    """`seams.Api` over an engine. What it returns belongs to the caller."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        """One object."""
        kind = self._engine.registry.kind(resource)
        return _copy((await self._engine.get(kind, namespace or "", name)).object)

    async def list(
        self, resource: Resource, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> builtins.list[Object]:
        """All that are selected."""
        kind = self._engine.registry.kind(resource)
        found = await self._engine.select(kind, namespace, Selector(kind.resource, labels, fields))
        return [_copy(stored.object) for stored in found]

    async def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        """A new object; in the namespace that the body names when none is given."""
        kind = self._engine.registry.kind(resource)
        place = namespace or (body.get("metadata") or {}).get("namespace") or ""
        return _copy((await self._engine.create(kind, place, _copy(body))).object)

    async def update(self, resource: Resource, body: Object, subresource: str = "") -> Object:
        """Replaces; subresource "", "status", "scale", or "finalize" of a namespace."""
        kind = self._engine.registry.kind(resource)
        metadata = body["metadata"]
        stored = await self._engine.update(
            kind, metadata.get("namespace", ""), metadata["name"], lambda _: _copy(body), subresource
        )
        return _copy(stored.object)

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Object,
        namespace: str | None = None,
        subresource: str = "",
    ) -> Object:
        """Merge patch."""
        kind = self._engine.registry.kind(resource)
        stored = await self._engine.update(
            kind, namespace or "", name, lambda object: merge(object, patch), subresource
        )
        return _copy(stored.object)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        grace_s: int | None = None,
        uid: str = "",
    ) -> None:
        """Deletes, or begins to."""
        kind = self._engine.registry.kind(resource)
        await self._engine.delete(kind, namespace or "", name, Options(grace_s=grace_s, uid=uid))

    async def watch(self, resource: Resource, namespace: str | None = None) -> AsyncIterator[WatchEvent]:
        """What exists, SYNCED, then every change."""
        kind = self._engine.registry.kind(resource)
        async for change in follow(self._engine.storage, kind.resource):
            if change is None:
                yield WatchEvent("SYNCED", {})
            elif namespace is None or change.key.namespace == namespace:
                shown = await self._engine.shown(kind, [change.after])
                yield WatchEvent(change.type, _copy(shown[0].object))


def _copy(object: Object) -> Object:
    copied: Object = clone(object)
    return copied
