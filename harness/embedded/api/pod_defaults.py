"""What Kubernetes fills into a pod's specification and status. Changes the object it is given; knows nothing
of storage.

Expects types that fit `pod_types`.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.embedded.seams import Object

FILE_MODE = 0o644
POD = {
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "schedulerName": "default-scheduler",
}
CONTAINER = {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
HOOKS = ("postStart", "preStop")


def pod(object: Object) -> None:
    """A whole pod: specification, and the status of one that was just made."""
    spec = object.setdefault("spec", {})
    template(spec)
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("serviceAccountName", spec.get("serviceAccount") or "default")
    spec["serviceAccount"] = spec["serviceAccountName"]


def template(spec: Object) -> None:
    """A pod's specification, or that in a template."""
    _fill(spec, POD)
    spec.setdefault("securityContext", {})
    for container in _objects(spec, "containers", "initContainers"):
        _container(container)
    for volume in _objects(spec, "volumes"):
        _volume(volume)


def initial_status(object: Object) -> Object:
    """The status of a pod that nobody has looked at yet."""
    return {"phase": "Pending", "qosClass": quality_of_service(object["spec"])}


def quality_of_service(spec: Object) -> str:
    """BestEffort, Burstable or Guaranteed, by the containers' requests and limits."""
    resources = [
        container.get("resources") or {} for container in _objects(spec, "containers", "initContainers")
    ]
    limits = [entry.get("limits") or {} for entry in resources]
    requests = [entry.get("requests") or {} for entry in resources]
    if not any(name in entry for entry in limits + requests for name in ("cpu", "memory")):
        return "BestEffort"
    guaranteed = all(
        limit.get(name) is not None and limit[name] == request.get(name)
        for limit, request in zip(limits, requests, strict=True)
        for name in ("cpu", "memory")
    )
    return "Guaranteed" if guaranteed else "Burstable"


def _fill(object: Object, defaults: Object) -> None:
    for name, value in defaults.items():
        if object.get(name) is None:
            object[name] = value


def _objects(spec: Object, *lists: str) -> Iterator[Object]:
    for name in lists:
        yield from spec.get(name) or ()


def _container(container: Object) -> None:
    _fill(container, CONTAINER)
    _fill(container, {"resources": {}, "imagePullPolicy": pull_policy(container.get("image") or "")})
    resources = container["resources"]
    if resources.get("limits"):
        resources["requests"] = {**resources["limits"], **(resources.get("requests") or {})}
    for port in _objects(container, "ports"):
        _fill(port, {"protocol": "TCP"})
    for variable in _objects(container, "env"):
        _field(variable.get("valueFrom") or {})
    for name in PROBES:
        if probe := container.get(name):
            _fill(probe, PROBE)
            _handler(probe)
    for name in HOOKS:
        _handler((container.get("lifecycle") or {}).get(name) or {})


def pull_policy(image: str) -> str:
    """Always for the tag latest and for none, else IfNotPresent."""
    name, at, _ = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return "IfNotPresent" if at or tag not in ("", "latest") else "Always"


def _handler(handler: Object) -> None:
    if request := handler.get("httpGet"):
        _fill(request, {"path": "/", "scheme": "HTTP"})
    if (request := handler.get("grpc")) is not None:
        _fill(request, {"service": ""})


def _field(source: Object) -> None:
    if reference := source.get("fieldRef"):
        _fill(reference, {"apiVersion": "v1"})


def _volume(volume: Object) -> None:
    if not any(value is not None for name, value in volume.items() if name != "name"):
        volume["emptyDir"] = {}
    for name in ("configMap", "secret", "downwardAPI", "projected"):
        if (source := volume.get(name)) is not None:
            _fill(source, {"defaultMode": FILE_MODE})
    if (source := volume.get("hostPath")) is not None:
        _fill(source, {"type": ""})
    for item in _objects(volume.get("downwardAPI") or {}, "items"):
        _field(item)
    for projection in _objects(volume.get("projected") or {}, "sources"):
        for item in _objects(projection.get("downwardAPI") or {}, "items"):
            _field(item)
        if token := projection.get("serviceAccountToken"):
            _fill(token, {"expirationSeconds": 3600})
