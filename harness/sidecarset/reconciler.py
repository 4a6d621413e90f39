"""Brings one SidecarSet's pods one step nearer to its spec: revision, status, reset, upgrade, in that order.

Reads set and pods anew each time, so it never acts on what a cache has not seen yet, and writes a pod with
the resourceVersion that it decided on: whoever else wrote meanwhile makes the write fail, and all is decided
again. Knows nothing of what wakes it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from harness.sidecarset import condition, matching, notes, paths, pods, revisions, selectors
from harness.sidecarset.api import SidecarSet
from harness.sidecarset.client import ApiFailure, Client
from harness.sidecarset.consistency import updated
from harness.sidecarset.log import Log
from harness.sidecarset.names import (
    GROUP,
    KIND,
    NAMESPACE_NAME_LABEL,
    REVISION_SET_LABEL,
    STORAGE_VERSION,
    Object,
)
from harness.sidecarset.reset import needs_reset, reset
from harness.sidecarset.status import status
from harness.sidecarset.strategy import select
from harness.sidecarset.upgrade import Context, upgraded

COMPONENT = "sidecarset-controller"


class Reconciler:
    """Does the steps. `now` gives RFC 3339 text. One call per set at a time; different sets may run side by
    side."""

    def __init__(self, client: Client, namespace: str, now: Callable[[], str], log: Log) -> None:
        self._client, self._namespace, self._now, self._log = client, namespace, now, log
        self._stored: dict[str, tuple[str, str]] = {}

    def reconcile(self, name: str) -> None:
        """One round for that set; ApiFailure when it has to be tried again."""
        try:
            sidecarset = SidecarSet(self._client.get(paths.sidecarset(name)))
        except ApiFailure as failure:
            if failure.code == 404:
                self._stored.pop(name, None)
                return
            raise
        matched = self._matched(sidecarset)
        revision = self._store_revision(sidecarset, matched)
        self._write_status(sidecarset, status(sidecarset, matched, revision))
        if sidecarset.not_update or sidecarset.paused:
            return
        due = [each for each in matched if needs_reset(each, sidecarset)]
        for pod in due:
            self._reset(sidecarset, pod)
        if due:
            return
        self._clear_verdicts(sidecarset, matched)
        if not all(updated(each, sidecarset) for each in matched):
            self._upgrade(sidecarset, matched, revision)

    # -- reading ---------------------------------------------------------------------------------------------

    def _matched(self, sidecarset: SidecarSet) -> list[Object]:
        listed, _ = self._client.listing(
            paths.pods_in(sidecarset.sole_namespace), selectors.to_query(sidecarset.selector)
        )
        if not listed:
            return []
        namespaces = {
            each["metadata"]["name"]: {
                NAMESPACE_NAME_LABEL: each["metadata"]["name"],
                **(each["metadata"].get("labels") or {}),
            }
            for each in self._client.listing(paths.NAMESPACES)[0]
        }
        return matching.matched(sidecarset, listed, namespaces)

    # -- revision and status ---------------------------------------------------------------------------------

    def _store_revision(self, sidecarset: SidecarSet, matched: Sequence[Object]) -> str:
        """Makes sure that the newest content is stored under the highest number; returns its name."""
        name = revisions.name(sidecarset)
        known = (sidecarset.uid, f"{name} {sidecarset.spec.get('customVersion')}")
        if self._stored.get(sidecarset.name) == known:
            return name
        path = paths.revisions_in(self._namespace)
        stored, _ = self._client.listing(path, f"{REVISION_SET_LABEL}={sidecarset.name}")
        present = next((each for each in stored if each["metadata"]["name"] == name), None)
        newest = revisions.newest_number(stored)
        number = newest if present and present.get("revision") == newest else newest + 1
        wanted = revisions.revision(sidecarset, self._namespace, number)
        if present is None:
            self._client.create(path, wanted)
            stored = [*stored, wanted]
        else:
            wanted["metadata"] = {**present["metadata"], **wanted["metadata"]}
            if wanted != present:
                self._client.replace(f"{path}/{name}", wanted)
        used = {name, *(notes.revision_of(each, sidecarset.name) for each in matched)}
        limit = int(sidecarset.spec.get("revisionHistoryLimit") or 0)
        for each in revisions.superfluous(stored, used, limit):
            self._unless_gone(self._client.delete, f"{path}/{each['metadata']['name']}")
        self._stored[sidecarset.name] = known
        return name

    def _write_status(self, sidecarset: SidecarSet, wanted: Object) -> None:
        if (sidecarset.raw.get("status") or {}) != wanted:
            body = {**sidecarset.raw, "status": wanted}
            self._client.replace(paths.sidecarset(sidecarset.name, "status"), body)

    # -- pods ------------------------------------------------------------------------------------------------

    def _reset(self, sidecarset: SidecarSet, pod: Object) -> None:
        try:
            self._client.replace(paths.pod(pod), reset(pod, sidecarset, self._now()))
        except ApiFailure as failure:
            if failure.code != 409:
                message = f"reset sidecar container image empty failed: {failure.message}"
                self._event(_pod_reference(pod), "Warning", "ResetContainerFailed", message)
            raise
        self._log("reset", sidecarset=sidecarset.name, pod=pods.name(pod))
        message = "reset sidecar container image empty successfully"
        self._event(_pod_reference(pod), "Normal", "ResetContainerSucceed", message)

    def _upgrade(self, sidecarset: SidecarSet, matched: Sequence[Object], revision: str) -> None:
        selection = select(sidecarset, matched)
        newly = [each for each in selection.not_upgradable if self._set_verdict(sidecarset, each, False)]
        if newly:
            found = f"detected {len(newly)} not upgradable pod(s) in this round, will skip them."
            self._event(
                _set_reference(sidecarset),
                "Normal",
                "NotUpgradablePods",
                f"SidecarSet in-place update {found}",
            )
        for pod in selection.upgrade:
            changed = upgraded(pod, sidecarset, Context(revision, self._now()))
            if changed is None:
                continue
            self._client.replace(paths.pod(pod), changed)
            self._log(
                "upgraded", sidecarset=sidecarset.name, pod=pods.name(pod), images=_changes(pod, changed)
            )
            self._set_verdict(sidecarset, pod, True)

    def _clear_verdicts(self, sidecarset: SidecarSet, matched: Sequence[Object]) -> None:
        """A pod that was not upgradable and is up to date again, because the set's change was taken back."""
        for pod in matched:
            if updated(pod, sidecarset) and condition.verdicts(pod).get(sidecarset.name) is False:
                self._set_verdict(sidecarset, pod, True)

    def _set_verdict(self, sidecarset: SidecarSet, pod: Object, upgradable: bool) -> bool:
        """Writes the pod's condition; False when it said so already."""
        changed = condition.changed(pod, sidecarset.name, upgradable, self._now())
        if changed is None:
            return False
        self._unless_gone(self._client.patch, paths.pod(pod, "status"), {"status": {"conditions": [changed]}})
        return True

    def _event(self, reference: Object, kind: str, reason: str, message: str) -> None:
        """Tells people; that it cannot is no reason to stop."""
        now, namespace = self._now(), reference.get("namespace") or "default"
        name = f"{reference['name']}.{secrets.token_hex(8)}"
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": reference,
            "type": kind,
            "reason": reason,
            "message": message,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            self._client.create(paths.events_in(namespace), body)
        except ApiFailure as failure:
            self._log("event_not_written", reason=reason, object=reference["name"], error=str(failure))

    def _unless_gone(self, call: Callable[..., object], *arguments: object) -> None:
        try:
            call(*arguments)
        except ApiFailure as failure:
            if failure.code != 404:
                raise


def _pod_reference(pod: Object) -> Object:
    metadata = pod["metadata"]
    fields = {key: metadata.get(key) for key in ("namespace", "name", "uid", "resourceVersion")}
    return {"apiVersion": "v1", "kind": "Pod", **fields}


def _set_reference(sidecarset: SidecarSet) -> Object:
    version = f"{GROUP}/{STORAGE_VERSION}"
    return {"apiVersion": version, "kind": KIND, "name": sidecarset.name, "uid": sidecarset.uid}


def _changes(before: Object, after: Object) -> dict[str, str]:
    images = {name: each["image"] for name, each in pods.containers(before).items()}
    return {
        name: each["image"] for name, each in pods.containers(after).items() if each["image"] != images[name]
    }
