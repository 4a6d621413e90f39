"""The SidecarSet of a run: made from the user's manifest, its image changed. Knows nothing of pods.

Spoken in the manifest's own API version.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

from kubernetes.client import ApiClient, CustomObjectsApi
from kubernetes.client.exceptions import ApiException

from harness.calls import REQUEST_S, calling, raw, reason_of
from harness.errors import ClusterError, InputError, Timeout
from harness.manifest import GROUP, NAMESPACE_LABEL, Subject
from harness.site import RUN_LABEL, Site
from harness.upgrade.waits import CLOCK, POLL_S, TIMEOUTS, Clock, Timeouts

PLURAL = "sidecarsets"
CONFLICT = 409
NOT_FOUND = 404
INVALID = (400, 422)
DENIED = (
    "denied the request"  # how an API server words the refusal of an admission webhook, whatever its code
)
ATTEMPTS = 20  # the controller writes status once or twice a second; conflicts in a row are few


def desired(subject: Subject, site: Site, *, images_loaded: bool) -> dict[str, Any]:
    """The object to create: the manifest without what a server adds, in the site's namespace alone, hot or cold.

    A namespace that the manifest names itself is replaced: a run touches nothing but its own.
    """
    body = copy.deepcopy(dict(subject.manifest))
    body.pop("status", None)
    given = body["metadata"]
    body["metadata"] = {
        "name": subject.name,
        "labels": {**(given.get("labels") or {}), **site.labels},
        "annotations": {**(given.get("annotations") or {}), **site.annotations},
    }
    spec = body["spec"]
    spec.pop("namespace", None)
    spec["namespaceSelector"] = {"matchLabels": {NAMESPACE_LABEL: site.namespace}}
    if images_loaded:
        for container in [*spec["containers"], *(spec.get("initContainers") or [])]:
            container["imagePullPolicy"] = "IfNotPresent"
    if subject.mode == "cold":
        _container(spec, subject.container)["upgradeStrategy"] = {"upgradeType": "ColdUpgrade"}
    return body


def create(api: ApiClient, subject: Subject, site: Site, *, images_loaded: bool) -> None:
    """Creates it; InputError when the cluster refuses it as it is written."""
    body = desired(subject, site, images_loaded=images_loaded)
    try:
        CustomObjectsApi(api).create_cluster_custom_object(
            GROUP, subject.version, PLURAL, body, _request_timeout=REQUEST_S
        )
    except ApiException as error:
        why = reason_of(error)
        if error.status == CONFLICT:
            remedy = f"delete it (kubectl delete sidecarset {subject.name}) or rename yours"
            raise ClusterError(f"the cluster has a SidecarSet {subject.name} already; {remedy}") from error
        if error.status in INVALID or DENIED in why:
            raise InputError(f"{subject.path}: the cluster refuses the SidecarSet: {why}; mend it") from error
        with calling(f"create SidecarSet {subject.name}"):
            raise


def wait_observed(
    api: ApiClient, subject: Subject, *, timeouts: Timeouts = TIMEOUTS, clock: Clock = CLOCK
) -> None:
    """Waits until the controller has seen it. A pod made earlier can come without sidecars, for good."""
    end = clock.now() + timeouts.observed_s
    while True:
        current = _get(api, subject)
        generation = current["metadata"].get("generation") or 0
        observed = (current.get("status") or {}).get("observedGeneration") or 0
        if observed >= generation:
            return
        if clock.now() >= end:
            raise Timeout(
                f"the controller has not seen SidecarSet {subject.name} for {timeouts.observed_s:g} s: "
                f"status.observedGeneration is {observed}, metadata.generation {generation}; does it run?"
            )
        clock.sleep(POLL_S)


def set_image(api: ApiClient, subject: Subject, image: str) -> None:
    """Puts the image into the container, whatever else was written in the meantime; ClusterError."""

    def put(spec: dict[str, Any]) -> None:
        _container(spec, subject.container)["image"] = image

    change(api, subject, f"set the image of SidecarSet {subject.name} to {image}", put)


def set_strategy(api: ApiClient, subject: Subject, fields: Mapping[str, Any]) -> None:
    """Changes fields of its updateStrategy; ClusterError."""

    def put(spec: dict[str, Any]) -> None:
        spec["updateStrategy"] = {**(spec.get("updateStrategy") or {}), **fields}

    change(api, subject, f"set {', '.join(fields)} of SidecarSet {subject.name}", put)


def set_variable(api: ApiClient, subject: Subject, name: str, value: str) -> None:
    """Gives the container an environment variable, or another value of it; ClusterError."""

    def put(spec: dict[str, Any]) -> None:
        container = _container(spec, subject.container)
        others = [entry for entry in container.get("env") or [] if entry["name"] != name]
        container["env"] = [*others, {"name": name, "value": value}]

    change(api, subject, f"set {name} in SidecarSet {subject.name}", put)


def change(api: ApiClient, subject: Subject, what: str, put: Callable[[dict[str, Any]], None]) -> None:
    """Lets `put` change the spec, and writes that.

    The whole object is replaced: a merge patch would replace the list of containers, and a place in the list
    is no name. A conflict reads again.
    """
    for _ in range(ATTEMPTS):
        body = dict(_get(api, subject))
        put(body["spec"])
        with calling(what):
            try:
                CustomObjectsApi(api).replace_cluster_custom_object(
                    GROUP, subject.version, PLURAL, subject.name, body, _request_timeout=REQUEST_S
                )
                return
            except ApiException as error:
                if error.status != CONFLICT:
                    raise
    raise ClusterError(
        f"cannot {what}: {ATTEMPTS} conflicts in a row; does another client write it all the time?"
    )


def delete(api: ApiClient, subject: Subject, *, clock: Clock = CLOCK, timeouts: Timeouts = TIMEOUTS) -> None:
    """Deletes it and waits until it is gone; ClusterError. What is gone already is no error."""
    with calling(f"delete SidecarSet {subject.name}"):
        CustomObjectsApi(api).delete_cluster_custom_object(
            GROUP, subject.version, PLURAL, subject.name, _request_timeout=REQUEST_S
        )
    end = clock.now() + timeouts.observed_s
    while read(api, subject) is not None:
        if clock.now() >= end:
            raise Timeout(
                f"SidecarSet {subject.name} is still there {timeouts.observed_s:g} s after its deletion"
            )
        clock.sleep(POLL_S)


def set_back(api: ApiClient, subject: Subject, site: Site) -> None:
    """Gives a set that the run found there the image back that it had; the run's own goes anyway."""
    there = read(api, subject)
    if there is None or (there["metadata"].get("labels") or {}).get(RUN_LABEL) == site.run:
        return
    if image_of(there, subject) != subject.image:
        set_image(api, subject, subject.image)


def read(api: ApiClient, subject: Subject) -> Mapping[str, Any] | None:
    """The object as the cluster has it; None if it has none; ClusterError."""
    get = CustomObjectsApi(api).get_cluster_custom_object
    with calling(f"read SidecarSet {subject.name}"):
        try:
            body: dict[str, Any] = json.loads(raw(get, GROUP, subject.version, PLURAL, subject.name))
        except ApiException as error:
            if error.status != NOT_FOUND:
                raise
            return None
    return body


def image_of(there: Mapping[str, Any], subject: Subject) -> str:
    """The image that the object gives the subject's container; ClusterError if it has no such container."""
    return str(_container(there["spec"], subject.container)["image"])


def _get(api: ApiClient, subject: Subject) -> Mapping[str, Any]:
    there = read(api, subject)
    if there is None:
        raise ClusterError(f"SidecarSet {subject.name} is not there any more; another client deleted it")
    return there


def _container(spec: Mapping[str, Any], name: str) -> dict[str, Any]:
    for container in spec.get("containers") or []:
        if container["name"] == name:
            found: dict[str, Any] = container
            return found
    raise ClusterError(f"the SidecarSet has no container {name} any more; another client changed it")
