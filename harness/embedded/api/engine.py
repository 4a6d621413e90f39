"""What every verb does, the same for callers in this process and over HTTPS. Knows nothing of HTTP.

A write goes: decode, defaults, mutating webhooks, defaults again, validation, validating webhooks, storage
version, store. Objects that are returned here are shared with the storage: callers copy before they change
one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.embedded.api import crd, lifecycle, workloads
from harness.embedded.api.admission import Admission, Attributes
from harness.embedded.api.lifecycle import Options
from harness.embedded.api.meta import timestamp
from harness.embedded.api.patch import merge
from harness.embedded.api.refusals import (
    MODIFIED,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    not_found,
    unknown_path,
)
from harness.embedded.api.registry import Registry
from harness.embedded.api.resources import CRDS, MUTATING, NAMESPACES_KEY, VALIDATING, Kind
from harness.embedded.api.rules import check, decode, rules_of
from harness.embedded.api.selectors import Selector
from harness.embedded.api.storage import Exists, Key, Stale, Storage, Stored, clone
from harness.embedded.api.webhook import Caller
from harness.embedded.seams import NAMESPACES, ApiError, Object

ATTEMPTS = 16  # of a change that does not insist on a revision, while others write the same object
DEFAULT_OPTIONS = Options()
Edit = Callable[[Object], Any]


class Engine:
    """The verbs over one storage."""

    def __init__(self, storage: Storage, registry: Registry, caller: Caller) -> None:
        self.storage, self.registry = storage, registry
        self._converter = crd.Converter(caller)
        self._admission = Admission(caller, self._configurations)

    # -- reading ---------------------------------------------------------------------------------------------

    async def get(self, kind: Kind, namespace: str, name: str) -> Stored:
        """One object in the kind's version; ApiError 404."""
        return (await self.shown(kind, [self._stored(kind, namespace, name)]))[0]

    async def select(self, kind: Kind, namespace: str | None, selector: Selector) -> list[Stored]:
        """All that are selected, in the kind's version."""
        found = self.storage.all(kind.resource, namespace if kind.namespaced else None)
        return await self.shown(kind, [stored for stored in found if selector.matches(stored.object)])

    async def shown(self, kind: Kind, stored: Sequence[Stored]) -> list[Stored]:
        """Objects as kept, in the version of the kind."""
        if kind.api_version == kind.stored_api_version:
            return list(stored)
        objects = await self._converter.convert(
            kind.resource, [item.object for item in stored], kind.api_version
        )
        return [
            item if item.object is object else Stored(object, item.revision)
            for item, object in zip(stored, objects, strict=True)
        ]

    def _stored(self, kind: Kind, namespace: str, name: str) -> Stored:
        stored = self.storage.get(Key(kind.resource, namespace if kind.namespaced else "", name))
        if stored is None:
            raise not_found(kind.resource, name)
        return stored

    # -- writing ---------------------------------------------------------------------------------------------

    async def create(
        self, kind: Kind, namespace: str, body: Any, options: Options = DEFAULT_OPTIONS
    ) -> Stored:
        """A new object; ApiError 400, 403, 404, 409, 422, and what webhooks answer."""
        object, rules = decode(kind, body), rules_of(kind)
        lifecycle.begin(kind, object, namespace)
        name = object["metadata"].get("name", "")
        self._open_namespace(kind, namespace, name)
        rules.default(object)
        object = await self._mutate(
            Attributes(kind, "CREATE", namespace, name, object, None, **_shown(options))
        )
        rules.default(object)
        check(kind, object, rules.creation(object))
        rules.begin(object)
        key = Key(kind.resource, namespace if kind.namespaced else "", name)
        if self.storage.get(key) is not None:
            raise already_exists(kind.resource, name)
        await self._validate(Attributes(kind, "CREATE", namespace, name, object, None, **_shown(options)))
        kept = (await self._converter.convert(kind.resource, [object], kind.stored_api_version))[0]
        if options.dry_run:
            return Stored(object, self.storage.revision)
        self._open_namespace(kind, namespace, name)  # it may have gone while webhooks were asked
        try:
            stored = self.storage.add(key, kept)
        except Exists:
            raise already_exists(kind.resource, name) from None
        self._written(kind, stored.object)
        return (await self.shown(kind, [stored]))[0]

    async def update(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        edit: Edit,
        subresource: str = "",
        options: Options = DEFAULT_OPTIONS,
    ) -> Stored:
        """Replaces an object by what `edit` makes of a copy of it; asked again when others were faster.

        ApiError 404, 409 when the result names another uid or resourceVersion, 422, and what webhooks answer.
        """
        if subresource and subresource not in kind.subresources:
            raise unknown_path(f"{kind.plural}/{subresource}")
        if subresource == "scale":
            edit = _scaling(edit)
        for _ in range(ATTEMPTS):
            stored = self._stored(kind, namespace, name)
            before = (await self.shown(kind, [stored]))[0].object
            draft = decode(kind, edit(clone(before)))
            try:
                return await self._replace(kind, stored, before, draft, subresource, options)
            except Stale:
                continue
        raise conflict(kind.resource, name, MODIFIED)

    async def _replace(
        self, kind: Kind, stored: Stored, before: Object, draft: Object, subresource: str, options: Options
    ) -> Stored:
        rules, place = rules_of(kind), _key(kind, before)
        object = lifecycle.settle(kind, before, draft, subresource)
        whole = subresource in ("", "scale")
        if whole:
            rules.default(object)
        attributes = Attributes(
            kind, "UPDATE", place.namespace, place.name, object, before, subresource, **_shown(options)
        )
        object = await self._mutate(attributes)
        if whole:
            rules.default(object)
            object = lifecycle.count_generation(kind, before, object)
            check(kind, object, rules.update(object, before) + lifecycle.finalizer_causes(before, object))
        await self._validate(
            Attributes(
                kind, "UPDATE", place.namespace, place.name, object, before, subresource, **_shown(options)
            )
        )
        kept = (await self._converter.convert(kind.resource, [object], kind.stored_api_version))[0]
        if options.dry_run:
            return Stored(object, stored.revision)
        if lifecycle.released(kind, kept):
            written = self.storage.remove(place, stored, kept)
            self._gone(kind, kept)
        else:
            written = self.storage.replace(place, stored, kept)
            self._written(kind, written.object)
        return (await self.shown(kind, [written]))[0]

    async def bind(self, namespace: str, name: str, binding: Any, options: Options = DEFAULT_OPTIONS) -> None:
        """Assigns a pod to a node; ApiError 400, 404, 409."""
        pods = self.registry.find("", "v1", "pods")
        target = binding.get("target") if isinstance(binding, dict) else None
        node = target.get("name") if isinstance(target, dict) else None
        if not node:
            raise bad_request("a Binding has to name its node in target.name")

        def assign(pod: Object) -> Object:
            if pod["spec"].get("nodeName"):
                raise conflict(
                    "pods/binding",
                    name,
                    f'pod {name} is already assigned to node "{pod["spec"]["nodeName"]}"',
                )
            pod["spec"]["nodeName"] = node
            return pod

        def scheduled(pod: Object) -> Object:
            condition = {
                "type": "PodScheduled",
                "status": "True",
                "lastProbeTime": None,
                "lastTransitionTime": timestamp(),
            }
            others = [
                item for item in pod["status"].get("conditions") or () if item["type"] != "PodScheduled"
            ]
            pod["status"]["conditions"] = [condition, *others]
            return pod

        await self.update(pods, namespace, name, assign, options=options)
        if not options.dry_run:
            await self.update(pods, namespace, name, scheduled, "status")

    # -- deleting --------------------------------------------------------------------------------------------

    async def delete(
        self, kind: Kind, namespace: str, name: str, options: Options = DEFAULT_OPTIONS
    ) -> tuple[Stored, bool]:
        """The object as it is now, and whether it is gone; ApiError 404, 409, and what webhooks answer."""
        for _ in range(ATTEMPTS):
            stored = self._stored(kind, namespace, name)
            place = _key(kind, stored.object)
            lifecycle.precondition(
                kind, name, stored.object["metadata"], options.uid, options.resource_version
            )
            before = (await self.shown(kind, [stored]))[0]
            attributes = Attributes(
                kind, "DELETE", place.namespace, name, None, before.object, **_shown(options)
            )
            await self._ask_deletion(attributes)
            after = lifecycle.deleted(kind, stored.object, options)
            if options.dry_run:
                return before, after is None
            try:
                if after is not None:
                    return (await self.shown(kind, [self.storage.replace(place, stored, after)]))[0], False
                removed = self.storage.remove(place, stored)
            except Stale:
                continue
            self._gone(kind, removed.object)
            return (await self.shown(kind, [removed]))[0], True
        raise conflict(kind.resource, name, MODIFIED)

    async def _ask_deletion(self, attributes: Attributes) -> None:
        labels = self._namespace_labels(attributes.namespace)
        await self._admission.mutate(attributes, labels)
        await self._admission.validate(attributes, labels)

    # -- what surrounds a write ------------------------------------------------------------------------------

    def _configurations(self, type: str) -> list[Object]:
        resource = MUTATING if type == "Mutating" else VALIDATING
        return [stored.object for stored in self.storage.all(resource)]

    async def _mutate(self, attributes: Attributes) -> Object:
        object = await self._admission.mutate(attributes, self._namespace_labels(attributes.namespace))
        if object is attributes.object or object is None:
            return attributes.object or {}
        return decode(attributes.kind, object)

    async def _validate(self, attributes: Attributes) -> None:
        await self._admission.validate(attributes, self._namespace_labels(attributes.namespace))

    def _namespace_labels(self, namespace: str) -> Mapping[str, str]:
        stored = self.storage.get(Key(NAMESPACES_KEY, "", namespace)) if namespace else None
        return (stored.object["metadata"].get("labels") or {}) if stored else {}

    def _open_namespace(self, kind: Kind, namespace: str, name: str) -> None:
        """Refuses a creation in a namespace that is not there (404) or that is going (403)."""
        if not kind.namespaced:
            return
        stored = self.storage.get(Key(NAMESPACES_KEY, "", namespace))
        if stored is None:
            raise not_found(NAMESPACES_KEY, namespace)
        if stored.object["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            message = f"namespace {namespace} is being terminated"
            cause = {"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"}
            raise forbidden(kind.resource, name, why, [cause])

    def _written(self, kind: Kind, object: Object) -> None:
        if kind.resource == CRDS:
            spec = object["spec"]
            self.registry.replace(spec["group"], spec["names"]["plural"], crd.kinds(object))
            self._converter.define(object["metadata"]["name"], object)

    def _gone(self, kind: Kind, object: Object) -> None:
        if kind.resource == CRDS:
            resource = object["metadata"]["name"]
            for stored in self.storage.all(resource):
                metadata = stored.object["metadata"]
                self.storage.remove(Key(resource, metadata.get("namespace", ""), metadata["name"]), stored)
            self.registry.replace(object["spec"]["group"], object["spec"]["names"]["plural"], ())

    async def ensure_namespaces(self, names: Sequence[str]) -> None:
        """Makes the namespaces that every cluster has."""
        for name in names:
            try:
                await self.create(self.registry.kind(NAMESPACES), "", {"metadata": {"name": name}})
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise


def _key(kind: Kind, object: Object) -> Key:
    metadata = object["metadata"]
    return Key(kind.resource, metadata.get("namespace", "") if kind.namespaced else "", metadata["name"])


def _shown(options: Options) -> dict[str, Any]:
    return {"dry_run": options.dry_run, "options": options.raw}


def _scaling(edit: Edit) -> Edit:
    """An edit of the Scale, as an edit of the object behind it."""

    def change(object: Object) -> Object:
        scale = edit(workloads.scale_of(object))
        if not isinstance(scale, dict) or not isinstance(
            replicas := (scale.get("spec") or {}).get("replicas", 0), int
        ):
            raise bad_request("a Scale has to tell a whole number in spec.replicas")
        metadata = {name: (scale.get("metadata") or {}).get(name) for name in ("uid", "resourceVersion")}
        return merge(
            object, {"metadata": {k: v for k, v in metadata.items() if v}, "spec": {"replicas": replicas}}
        )

    return change
