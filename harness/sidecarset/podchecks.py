"""What Kubernetes would refuse in a pod made of a SidecarSet's containers, initContainers and volumes.

The part of its pod validation that a hand-written set is likely to meet. Knows nothing of a SidecarSet's own
rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from harness.sidecarset.expressions import BadExpression, quantity
from harness.sidecarset.fielderrors import duplicate, forbidden, invalid, required
from harness.sidecarset.names import Object

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
DNS_LABEL_MAX = 63
NOT_A_LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start "
    f"and end with an alphanumeric character (regex used for validation is '{DNS_LABEL.pattern}')"
)
ENV_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
PORTS = range(1, 65536)
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
PROTOCOLS = ("TCP", "UDP", "SCTP")
HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def problems(spec: Object) -> Iterator[str]:
    """One message each, `path: what`."""
    volumes = spec.get("volumes") or []
    yield from _names(volumes, "spec.volumes", set())
    known = {each.get("name") for each in volumes}
    taken: set[str] = set()
    for field in ("containers", "initContainers"):
        containers = spec.get(field) or []
        yield from _names(containers, f"spec.{field}", taken)
        for index, container in enumerate(containers):
            yield from _container(container, f"spec.{field}[{index}]", known)


def _names(items: Sequence[Object], path: str, taken: set[str]) -> Iterator[str]:
    for index, item in enumerate(items):
        name, where = item.get("name") or "", f"{path}[{index}].name"
        if not name:
            yield required(where)
        elif name in taken:
            yield duplicate(where, name)
        elif len(name) > DNS_LABEL_MAX:
            yield invalid(where, name, f"must be no more than {DNS_LABEL_MAX} bytes")
        elif not DNS_LABEL.fullmatch(name):
            yield invalid(where, name, NOT_A_LABEL)
        taken.add(name)


def _container(container: Object, path: str, volumes: set[str]) -> Iterator[str]:
    image = container.get("image") or ""
    if not image:
        yield required(f"{path}.image")
    elif image != image.strip():
        yield invalid(f"{path}.image", image, "must not have leading or trailing whitespace")
    yield from _one_of(container, "imagePullPolicy", PULL_POLICIES, path)
    yield from _ports(container, path)
    yield from _environment(container, path)
    yield from _mounts(container, path, volumes)
    yield from _handlers(container, path)
    yield from _resources(container.get("resources") or {}, f"{path}.resources")


def _one_of(part: Object, field: str, allowed: Sequence[str], path: str) -> Iterator[str]:
    value = part.get(field)
    if value and value not in allowed:
        listed = ", ".join(f'"{each}"' for each in sorted(allowed))
        yield f'{path}.{field}: Unsupported value: "{value}": supported values: {listed}'


def _ports(container: Object, path: str) -> Iterator[str]:
    names: set[str] = set()
    for index, port in enumerate(container.get("ports") or []):
        where, number = f"{path}.ports[{index}]", port.get("containerPort")
        if not number:
            yield required(f"{where}.containerPort")
        elif number not in PORTS:
            yield invalid(f"{where}.containerPort", number, "must be between 1 and 65535, inclusive")
        yield from _one_of(port, "protocol", PROTOCOLS, where)
        if port.get("name") in names:
            yield duplicate(f"{where}.name", port["name"])
        names.update([port["name"]] if port.get("name") else [])


def _environment(container: Object, path: str) -> Iterator[str]:
    for index, env in enumerate(container.get("env") or []):
        where, name = f"{path}.env[{index}]", env.get("name") or ""
        if not name:
            yield required(f"{where}.name")
        elif not ENV_NAME.fullmatch(name):
            yield invalid(f"{where}.name", name, "must consist of letters, digits, '_', '-' and '.'")
        if env.get("value") and env.get("valueFrom"):
            yield invalid(f"{where}.valueFrom", "", "may not be specified when `value` is not empty")


def _mounts(container: Object, path: str, volumes: set[str]) -> Iterator[str]:
    paths: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts") or []):
        where = f"{path}.volumeMounts[{index}]"
        if not mount.get("name"):
            yield required(f"{where}.name")
        elif mount["name"] not in volumes:
            yield f'{where}.name: Not found: "{mount["name"]}"'
        if not mount.get("mountPath"):
            yield required(f"{where}.mountPath")
        elif mount["mountPath"] in paths:
            yield invalid(f"{where}.mountPath", mount["mountPath"], "must be unique")
        paths.add(mount.get("mountPath") or "")


def _handlers(container: Object, path: str) -> Iterator[str]:
    hooks = (container.get("lifecycle") or {}).items()
    found = [(f"{path}.lifecycle.{name}", value) for name, value in hooks if name in ("postStart", "preStop")]
    found += [(f"{path}.{name}", container.get(name)) for name in PROBES]
    for where, value in found:
        if value is None:
            continue
        count = sum(value.get(each) is not None for each in HANDLERS)
        if count == 0:
            yield required(where, "must specify a handler type")
        elif count > 1:
            yield forbidden(where, "may not specify more than 1 handler type")
        if value.get("exec") is not None and not value["exec"].get("command"):
            yield required(f"{where}.exec.command")


def _resources(resources: Object, path: str) -> Iterator[str]:
    for kind in ("limits", "requests"):
        for name, text in (resources.get(kind) or {}).items():
            try:
                quantity(str(text))
            except BadExpression as error:
                yield invalid(f"{path}.{kind}[{name}]", text, str(error))
    for name, text in (resources.get("requests") or {}).items():
        limit = (resources.get("limits") or {}).get(name)
        try:
            too_much = limit is not None and quantity(str(text)) > quantity(str(limit))
        except BadExpression:
            continue
        if too_much:
            yield invalid(f"{path}.requests", text, f"must be less than or equal to {name} limit of {limit}")
