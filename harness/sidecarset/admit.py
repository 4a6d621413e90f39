"""What the webhooks decide: defaults and validity of SidecarSets, sidecars of new pods.

Reads what it needs anew for each request: a pod made right after its SidecarSet gets its sidecars.
Knows nothing of HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from harness.sidecarset import conversion, matching, paths, pods, revisions, selectors
from harness.sidecarset.admission import Refused
from harness.sidecarset.api import SidecarSet
from harness.sidecarset.client import ApiFailure, Client
from harness.sidecarset.defaults import defaulted
from harness.sidecarset.injection import CannotInject, Injected, inject
from harness.sidecarset.names import (
    NAMESPACE_NAME_LABEL,
    REVISION_SET_LABEL,
    WHITELIST_KEY,
    Object,
)
from harness.sidecarset.validation import Surroundings, problems


class Admitter:
    """Answers admission requests. `now` gives the time for the pods' books, `dice` a number in [0, 1)."""

    def __init__(
        self, client: Client, namespace: str, now: Callable[[], str], dice: Callable[[], float]
    ) -> None:
        self._client, self._namespace, self._now, self._dice = client, namespace, now, dice

    def mutate_sidecarset(self, request: Object) -> Object:
        """The set with defaults."""
        return defaulted(request["object"])

    def validate_sidecarset(self, request: Object) -> None:
        """Refuses a set that is wrong, with all reasons."""
        sidecarset = _stored(request["object"])
        before = request.get("oldObject")
        around = Surroundings(
            others=self._sidecarsets(),
            predecessor=_stored(before) if before else None,
            revisions=self._revisions(sidecarset.name) if sidecarset.injection.get("revision") else (),
            whitelist=self._whitelist() if sidecarset.spec.get("patchPodMetadata") else None,
        )
        found = problems(sidecarset, around)
        if found:
            raise Refused(found[0] if len(found) == 1 else f"[{', '.join(found)}]")

    def mutate_pod(self, request: Object) -> Object | None:
        """The pod with its sidecars, or None when no set wants it."""
        pod, namespace = request["object"], request.get("namespace") or "default"
        candidates = [
            each for each in self._sidecarsets() if selectors.matches(each.selector, pods.labels(pod))
        ]
        if not candidates:
            return None
        sets = matching.for_new_pod(candidates, pod, self._labels(namespace))
        if not sets:
            return None
        try:
            return inject(pod, [self._at_revision(each, pod) for each in sets], self._now())
        except CannotInject as error:
            raise Refused(str(error)) from error

    def _at_revision(self, sidecarset: SidecarSet, pod: Object) -> Injected:
        wanted = revisions.requested(sidecarset)
        if wanted is None or revisions.injects_newest(sidecarset, pod, self._dice()):
            return Injected(sidecarset, revisions.name(sidecarset))
        try:
            stored = revisions.find(wanted, self._revisions(sidecarset.name))
        except revisions.NoSuchRevision as error:
            raise Refused(f"SidecarSet {sidecarset.name}: {error}") from error
        return Injected(revisions.restored(sidecarset, stored), stored["metadata"]["name"])

    def _sidecarsets(self) -> list[SidecarSet]:
        return [SidecarSet(each) for each in self._client.listing(paths.SIDECARSETS)[0]]

    def _revisions(self, name: str) -> list[Object]:
        return self._client.listing(paths.revisions_in(self._namespace), f"{REVISION_SET_LABEL}={name}")[0]

    def _labels(self, namespace: str) -> dict[str, str]:
        found = self._client.get(paths.namespace(namespace))
        return {NAMESPACE_NAME_LABEL: namespace, **(found["metadata"].get("labels") or {})}

    def _whitelist(self) -> list[Object] | None:
        try:
            text = (self._client.get(paths.whitelist_in(self._namespace)).get("data") or {}).get(
                WHITELIST_KEY
            )
        except ApiFailure as failure:
            if failure.code == 404:
                return None
            raise
        try:
            return list(json.loads(text).get("rules") or []) if text else None
        except (ValueError, AttributeError) as error:
            raise Refused(
                f"ConfigMap {self._namespace}, key {WHITELIST_KEY}: not a list of rules: {error}"
            ) from error


def _stored(raw: Object) -> SidecarSet:
    return SidecarSet(defaulted(conversion.to_storage(raw)))
