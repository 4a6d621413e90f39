"""What is wrong with a pod, and which changes to one are not allowed. Pure; knows nothing of storage.

Expects a pod with its defaults, and types that fit `pod_types`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from harness.embedded.api.meta import label_causes, labels_causes, metadata_causes, subdomain_causes
from harness.embedded.api.refusals import (
    DUPLICATE,
    FORBIDDEN,
    INVALID,
    NOT_FOUND,
    NOT_SUPPORTED,
    REQUIRED,
    Cause,
)
from harness.embedded.api.storage import clone
from harness.embedded.seams import Object

RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
PROTOCOLS = ("TCP", "UDP", "SCTP")
HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
LARGEST_PORT = 65535
PORT_NAME_LENGTH = 15
PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]([a-z0-9-]*[a-z0-9])?")
VARIABLE_NAME = re.compile(r"[^=\x00-\x1f\x7f-\uffff]+")
IMMUTABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def creation_causes(pod: Object) -> list[Cause]:
    """What is wrong with a new pod."""
    return metadata_causes(pod["metadata"]) + spec_causes(pod.get("spec") or {}, "spec")


def spec_causes(spec: Object, path: str, restart_policies: Sequence[str] = RESTART_POLICIES) -> list[Cause]:
    """What is wrong with a pod's specification, or with that of a template."""
    causes = _volumes_causes(spec.get("volumes") or (), f"{path}.volumes")
    volumes = {volume.get("name") for volume in spec.get("volumes") or ()}
    if not spec.get("containers"):
        causes.append(Cause(f"{path}.containers", REQUIRED))
    seen: set[str] = set()
    for container, where in _containers(spec, path):
        causes += _container_causes(container, where, volumes)
        name = container.get("name")
        if name in seen:
            causes.append(Cause(f"{where}.name", DUPLICATE, value=name))
        seen.add(name or "")
    causes += _choice(spec.get("restartPolicy"), f"{path}.restartPolicy", restart_policies)
    causes += _choice(spec.get("dnsPolicy"), f"{path}.dnsPolicy", DNS_POLICIES)
    for name in ("terminationGracePeriodSeconds", "activeDeadlineSeconds"):
        if spec.get(name, 0) is not None and spec.get(name, 0) < 0:
            causes.append(Cause(f"{path}.{name}", INVALID, "must be greater than or equal to 0", spec[name]))
    if spec.get("serviceAccountName"):
        causes += subdomain_causes(spec["serviceAccountName"], f"{path}.serviceAccountName")
    if spec.get("hostname"):
        causes += label_causes(spec["hostname"], f"{path}.hostname")
    return causes + labels_causes(spec.get("nodeSelector") or {}, f"{path}.nodeSelector")


def update_causes(pod: Object, before: Object) -> list[Cause]:
    """What is wrong with a change of a pod."""
    causes = metadata_causes(pod["metadata"])
    allowed = clone(before["spec"])
    for name in ("containers", "initContainers"):
        for container, new in zip(allowed.get(name) or (), pod["spec"].get(name) or (), strict=False):
            if "image" in new:
                container["image"] = new["image"]
    for name in ("activeDeadlineSeconds", "tolerations"):
        if name in pod["spec"]:
            allowed[name] = pod["spec"][name]
    if not allowed.get("nodeName") and pod["spec"].get("nodeName"):
        allowed["nodeName"] = pod["spec"][
            "nodeName"
        ]  # a scheduler in this process may assign it without a Binding
    if allowed != pod["spec"]:
        causes.append(Cause("spec", FORBIDDEN, IMMUTABLE))
    for container, where in _containers(pod["spec"], "spec"):
        causes += _image_causes(container, where)
    return causes


def _containers(spec: Object, path: str) -> Iterator[tuple[Object, str]]:
    for name in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(name) or ()):
            yield container, f"{path}.{name}[{index}]"


def _choice(value: str | None, path: str, supported: Iterable[str]) -> list[Cause]:
    if not value:
        return [Cause(path, REQUIRED)]
    if value in supported:
        return []
    return [
        Cause(path, NOT_SUPPORTED, "supported values: " + ", ".join(f'"{name}"' for name in supported), value)
    ]


def _volumes_causes(volumes: Sequence[Object], path: str) -> list[Cause]:
    causes, seen = [], set()
    for index, volume in enumerate(volumes):
        where = f"{path}[{index}]"
        name = volume.get("name")
        causes += label_causes(name, f"{where}.name")
        if name in seen:
            causes.append(Cause(f"{where}.name", DUPLICATE, value=name))
        seen.add(name)
        sources = [source for source, value in volume.items() if source != "name" and value is not None]
        causes += [
            Cause(f"{where}.{source}", FORBIDDEN, "may not specify more than 1 volume type")
            for source in sources[1:]
        ]
    return causes


def _container_causes(container: Object, path: str, volumes: set[str | None]) -> list[Cause]:
    causes = label_causes(container.get("name"), f"{path}.name") + _image_causes(container, path)
    causes += _choice(container.get("imagePullPolicy"), f"{path}.imagePullPolicy", PULL_POLICIES)
    if (policy := container.get("restartPolicy")) is not None:
        if ".initContainers[" not in path:
            causes.append(Cause(f"{path}.restartPolicy", FORBIDDEN, "may not be set for non-init containers"))
        else:
            causes += _choice(policy, f"{path}.restartPolicy", ("Always",))
    causes += _ports_causes(container.get("ports") or (), f"{path}.ports")
    for index, variable in enumerate(container.get("env") or ()):
        causes += _variable_causes(variable, f"{path}.env[{index}]")
    causes += _mounts_causes(container.get("volumeMounts") or (), f"{path}.volumeMounts", volumes)
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if (probe := container.get(name)) is not None:
            causes += _handler_causes(probe, f"{path}.{name}") + _timing_causes(probe, f"{path}.{name}")
    for name, hook in (container.get("lifecycle") or {}).items():
        if isinstance(hook, dict):
            causes += _handler_causes(hook, f"{path}.lifecycle.{name}")
    return causes


def _image_causes(container: Object, path: str) -> list[Cause]:
    image = container.get("image")
    if not image:
        return [Cause(f"{path}.image", REQUIRED)]
    if image != image.strip():
        return [Cause(f"{path}.image", INVALID, "must not have leading or trailing whitespace", image)]
    return []


def _ports_causes(ports: Sequence[Object], path: str) -> list[Cause]:
    causes, seen = [], set()
    for index, port in enumerate(ports):
        where = f"{path}[{index}]"
        if name := port.get("name"):
            if not PORT_NAME.fullmatch(name) or len(name) > PORT_NAME_LENGTH or "--" in name:
                rule = "lower case letters, digits and single '-', with a letter"
                detail = f"must be at most {PORT_NAME_LENGTH} {rule}"
                causes.append(Cause(f"{where}.name", INVALID, detail, name))
            if name in seen:
                causes.append(Cause(f"{where}.name", DUPLICATE, value=name))
            seen.add(name)
        if not port.get("containerPort"):
            causes.append(Cause(f"{where}.containerPort", REQUIRED))
        else:
            causes += _port_causes(port["containerPort"], f"{where}.containerPort")
        causes += _choice(port.get("protocol"), f"{where}.protocol", PROTOCOLS)
    return causes


def _port_causes(port: int | str | None, path: str) -> list[Cause]:
    if port is None:
        return [Cause(path, REQUIRED)]
    if isinstance(port, int) and not 0 < port <= LARGEST_PORT:
        return [Cause(path, INVALID, f"must be between 1 and {LARGEST_PORT}, inclusive", port)]
    return []


def _variable_causes(variable: Object, path: str) -> list[Cause]:
    name = variable.get("name")
    if not name:
        return [Cause(f"{path}.name", REQUIRED)]
    causes = []
    if not VARIABLE_NAME.fullmatch(name):
        causes.append(Cause(f"{path}.name", INVALID, "must be printable ASCII characters without '='", name))
    source = variable.get("valueFrom")
    if source is not None:
        given = [key for key, value in source.items() if value is not None]
        if variable.get("value"):
            causes.append(
                Cause(f"{path}.valueFrom", INVALID, "may not be specified when `value` is not empty", "")
            )
        if not given:
            causes.append(
                Cause(
                    f"{path}.valueFrom",
                    INVALID,
                    "must specify one of: fieldRef, resourceFieldRef, configMapKeyRef or secretKeyRef",
                    "",
                )
            )
        if len(given) > 1:
            causes.append(
                Cause(
                    f"{path}.valueFrom", INVALID, "may not have more than one field specified at a time", ""
                )
            )
        if "fieldRef" in given and not source["fieldRef"].get("fieldPath"):
            causes.append(Cause(f"{path}.valueFrom.fieldRef.fieldPath", REQUIRED))
    return causes


def _mounts_causes(mounts: Sequence[Object], path: str, volumes: set[str | None]) -> list[Cause]:
    causes, seen = [], set()
    for index, mount in enumerate(mounts):
        where = f"{path}[{index}]"
        if not mount.get("name"):
            causes.append(Cause(f"{where}.name", REQUIRED))
        elif mount["name"] not in volumes:
            causes.append(Cause(f"{where}.name", NOT_FOUND, value=mount["name"]))
        target = mount.get("mountPath")
        if not target:
            causes.append(Cause(f"{where}.mountPath", REQUIRED))
        elif target in seen:
            causes.append(Cause(f"{where}.mountPath", INVALID, "must be unique", target))
        seen.add(target)
        if mount.get("subPath") and mount.get("subPathExpr"):
            causes.append(
                Cause(
                    f"{where}.subPathExpr",
                    INVALID,
                    "subPathExpr and subPath are mutually exclusive",
                    mount["subPathExpr"],
                )
            )
    return causes


def _handler_causes(handler: Object, path: str) -> list[Cause]:
    given = [name for name in HANDLERS if handler.get(name) is not None]
    if not given:
        return [Cause(path, REQUIRED, "must specify a handler type")]
    causes = [
        Cause(f"{path}.{name}", FORBIDDEN, "may not specify more than 1 handler type") for name in given[1:]
    ]
    details: Mapping[str, object] = handler[given[0]]
    if given[0] == "exec" and not details.get("command"):
        causes.append(Cause(f"{path}.exec.command", REQUIRED))
    if given[0] in ("httpGet", "tcpSocket", "grpc"):
        port = details.get("port")
        causes += _port_causes(port if isinstance(port, int | str) else None, f"{path}.{given[0]}.port")
    return causes


def _timing_causes(probe: Object, path: str) -> list[Cause]:
    causes = []
    for name in (
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ):
        value = probe.get(name) or 0
        if value < 0:
            causes.append(Cause(f"{path}.{name}", INVALID, "must be greater than or equal to 0", value))
    if not path.endswith("readinessProbe") and probe.get("successThreshold") not in (None, 1):
        causes.append(Cause(f"{path}.successThreshold", INVALID, "must be 1", probe["successThreshold"]))
    return causes
