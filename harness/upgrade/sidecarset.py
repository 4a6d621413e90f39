"""The SidecarSet of a run: made from the user's manifest, its image changed, deleted. Knows nothing of pods.

Spoken in the manifest's own API version.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from kubernetes.client import ApiClient, CustomObjectsApi
from kubernetes.client.exceptions import ApiException

from harness.errors import ClusterError, InputError, Timeout
from harness.manifest import GROUP, NAMESPACE_LABEL, Subject
from harness.upgrade.calls import REQUEST_S, calling, raw, reason_of
from harness.upgrade.waits import CLOCK, POLL_S, TIMEOUTS, Clock, Timeouts

PLURAL = "sidecarsets"
CONFLICT = 409
INVALID = (400, 422)
DENIED = (
    "denied the request"  # how an API server words the refusal of an admission webhook, whatever its code
)
ATTEMPTS = 20  # the controller writes status once or twice a second; conflicts in a row are few


def desired(subject: Subject, namespace: str) -> dict[str, Any]:
    """The object to create: the manifest without what a server adds, limited to the namespace, hot or cold.

    A namespace that the manifest names itself stays.
    """
    body = copy.deepcopy(dict(subject.manifest))
    body.pop("status", None)
    body["metadata"] = {
        key: value for key, value in body["metadata"].items() if key in ("name", "labels", "annotations")
    }
    spec = body["spec"]
    if subject.namespace is None:
        if subject.version == "v1alpha1":
            spec["namespace"] = namespace
        else:
            spec["namespaceSelector"] = {"matchLabels": {NAMESPACE_LABEL: namespace}}
    if subject.mode == "cold":
        _container(spec, subject.container)["upgradeStrategy"] = {"upgradeType": "ColdUpgrade"}
    return body


def create(api: ApiClient, subject: Subject, namespace: str) -> None:
    """Creates it; InputError when the cluster refuses it as it is written."""
    try:
        CustomObjectsApi(api).create_cluster_custom_object(
            GROUP, subject.version, PLURAL, desired(subject, namespace), _request_timeout=REQUEST_S
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
    """Puts the image into the container, whatever else was written in the meantime.

    The whole object is replaced: a merge patch would replace the list of containers, and a place in the list
    is no name. A conflict reads again.
    """
    what = f"set the image of SidecarSet {subject.name} to {image}"
    for _ in range(ATTEMPTS):
        body = dict(_get(api, subject))
        _container(body["spec"], subject.container)["image"] = image
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


def delete(api: ApiClient, subject: Subject) -> None:
    """Deletes it; no error if it is gone. Pods keep their containers."""
    with calling(f"delete SidecarSet {subject.name}"):
        try:
            CustomObjectsApi(api).delete_cluster_custom_object(
                GROUP, subject.version, PLURAL, subject.name, _request_timeout=REQUEST_S
            )
        except ApiException as error:
            if error.status != 404:
                raise


def _get(api: ApiClient, subject: Subject) -> Mapping[str, Any]:
    with calling(f"read SidecarSet {subject.name}"):
        get = CustomObjectsApi(api).get_cluster_custom_object
        body: dict[str, Any] = json.loads(raw(get, GROUP, subject.version, PLURAL, subject.name))
        return body


def _container(spec: Mapping[str, Any], name: str) -> dict[str, Any]:
    for container in spec.get("containers") or []:
        if container["name"] == name:
            found: dict[str, Any] = container
            return found
    raise ClusterError(f"the SidecarSet has no container {name} any more; another client changed it")
