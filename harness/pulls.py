"""Whether a cluster can run an image, and what it takes it for: a throw-away pod for each.

A container that cannot start its command has its image all the same, so any image will do, with a shell or without.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from kubernetes.client import ApiClient, CoreV1Api

from harness.calls import REQUEST_S, calling
from harness.errors import ClusterError, InputError, Timeout
from harness.record.report import ImageInfo
from harness.site import Site

PULLED_WITHIN_S = 180.0  # some hundred megabytes from a registry that is not next door
POLL_S = 0.1
REFUSED = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
COMMAND = ["/bin/true"]


def resolve(api: ApiClient, site: Site, refs: Sequence[str], *, images_loaded: bool) -> dict[str, ImageInfo]:
    """Each image as the cluster resolves it; InputError for one that cannot be pulled, Timeout."""
    core: Any = CoreV1Api(api)
    names = {ref: f"pull-{index}" for index, ref in enumerate(refs)}
    with calling("start a pod for each image"):
        for ref, name in names.items():
            core.create_namespaced_pod(
                site.namespace, _pod(site, name, ref, images_loaded), _request_timeout=REQUEST_S
            )
    deadline = time.monotonic() + PULLED_WITHIN_S
    found: dict[str, ImageInfo] = {}
    while len(found) < len(names):
        for ref in [ref for ref in names if ref not in found]:
            with calling(f"read the pod of image {ref}"):
                pod = core.read_namespaced_pod(names[ref], site.namespace, _request_timeout=REQUEST_S)
            if info := _resolved(ref, pod):
                found[ref] = info
        if time.monotonic() > deadline:
            late = ", ".join(ref for ref in names if ref not in found)
            raise Timeout(f"images {late} were not there after {PULLED_WITHIN_S:.0f} s")
        time.sleep(POLL_S)
    with calling("delete the pods of the images"):
        for name in names.values():
            core.delete_namespaced_pod(
                name, site.namespace, grace_period_seconds=0, _request_timeout=REQUEST_S
            )
    return found


def _resolved(ref: str, pod: Any) -> ImageInfo | None:
    """The image once it is there; None as long as it is not."""
    for status in pod.status.container_statuses or []:
        waiting = status.state.waiting
        if waiting is not None and waiting.reason in REFUSED:
            message = " ".join((waiting.message or waiting.reason).split())
            raise InputError(
                f"image {ref} cannot be pulled ({message}); push it where the cluster can reach it"
            )
        if status.image_id:
            return ImageInfo(ref=ref, id=status.image_id)
    if pod.status.phase == "Failed":
        raise ClusterError(f"the pod of image {ref} failed: {pod.status.message or pod.status.reason}")
    return None


def _pod(site: Site, name: str, ref: str, images_loaded: bool) -> dict[str, Any]:
    container = {"name": "image", "image": ref, "command": COMMAND}
    if images_loaded:
        container["imagePullPolicy"] = "IfNotPresent"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": site.namespace, "labels": site.labels},
        "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]},
    }
