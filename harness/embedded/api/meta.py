"""Metadata that every object has: names, labels, times. Knows nothing of particular kinds."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from harness.embedded.api.refusals import INVALID, REQUIRED, Cause
from harness.embedded.seams import Object

LABEL_LENGTH, SUBDOMAIN_LENGTH = 63, 253
SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # no vowels: a generated name spells no word
SUFFIX_LENGTH = 5

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
SUBDOMAIN = re.compile(rf"{LABEL.pattern}(\.{LABEL.pattern})*")
LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
LABEL_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")

EDGES = "and must start and end with an alphanumeric character"
LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    f"{EDGES} (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    f"{EDGES} (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    f"{EDGES} (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
KEY_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', "
    f"{EDGES} (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


def timestamp(after: timedelta = timedelta()) -> str:
    """Now, or some time after, in RFC 3339 with whole seconds as Kubernetes writes it."""
    return (datetime.now(UTC) + after).strftime("%Y-%m-%dT%H:%M:%SZ")


def random_suffix() -> str:
    """What generateName appends."""
    return "".join(secrets.choice(SUFFIX_ALPHABET) for _ in range(SUFFIX_LENGTH))


def label_causes(value: Any, path: str) -> list[Cause]:
    """What is wrong with a name that has to be a DNS-1123 label."""
    return _name_causes(value, path, LABEL, LABEL_LENGTH, LABEL_RULE)


def subdomain_causes(value: Any, path: str) -> list[Cause]:
    """What is wrong with a name that has to be a DNS-1123 subdomain."""
    return _name_causes(value, path, SUBDOMAIN, SUBDOMAIN_LENGTH, SUBDOMAIN_RULE)


def _name_causes(value: Any, path: str, pattern: re.Pattern[str], length: int, rule: str) -> list[Cause]:
    if not value:
        return [Cause(path, REQUIRED)]
    causes = []
    if len(value) > length:
        causes.append(Cause(path, INVALID, f"must be no more than {length} characters", value))
    if not pattern.fullmatch(value):
        causes.append(Cause(path, INVALID, rule, value))
    return causes


def labels_causes(labels: Mapping[str, Any], path: str) -> list[Cause]:
    """What is wrong with a set of labels."""
    causes = _keys_causes(labels, path)
    for value in labels.values():
        if len(value) > LABEL_LENGTH:
            causes.append(Cause(path, INVALID, f"must be no more than {LABEL_LENGTH} characters", value))
        if not LABEL_VALUE.fullmatch(value):
            causes.append(Cause(path, INVALID, VALUE_RULE, value))
    return causes


def _keys_causes(values: Mapping[str, Any], path: str) -> list[Cause]:
    causes = []
    for key in values:
        prefix, slash, name = key.rpartition("/")
        if (
            not LABEL_NAME.fullmatch(name)
            or len(name) > LABEL_LENGTH
            or (slash and not SUBDOMAIN.fullmatch(prefix))
        ):
            causes.append(Cause(path, INVALID, KEY_RULE, key))
    return causes


def metadata_causes(
    metadata: Object,
    name_causes: Callable[[Any, str], list[Cause]] = subdomain_causes,
    path: str = "metadata",
) -> list[Cause]:
    """What is wrong with an object's metadata."""
    if not metadata.get("name"):
        causes = [Cause(f"{path}.name", REQUIRED, "name or generateName is required")]
    else:
        causes = name_causes(metadata["name"], f"{path}.name")
    causes += labels_causes(metadata.get("labels") or {}, f"{path}.labels")
    lowered = {key.lower(): "" for key in metadata.get("annotations") or {}}
    return causes + _keys_causes(lowered, f"{path}.annotations")


# What a field of the metadata has to be, or the object cannot be read at all.
TYPES: Mapping[str, tuple[type, str]] = {
    "name": (str, "string"),
    "generateName": (str, "string"),
    "namespace": (str, "string"),
    "labels": (dict, "map[string]string"),
    "annotations": (dict, "map[string]string"),
    "finalizers": (list, "[]string"),
    "ownerReferences": (list, "[]v1.OwnerReference"),
    "resourceVersion": (str, "string"),
    "uid": (str, "types.UID"),
}


def unreadable(metadata: Any) -> str:
    """Why metadata cannot be read, or ""."""
    if not isinstance(metadata, dict):
        return "metadata has to be an object"
    for name, (type, words) in TYPES.items():
        told = f"json: cannot unmarshal into field ObjectMeta.metadata.{name} of type "
        if metadata.get(name) is not None and not isinstance(metadata[name], type):
            return told + words
        if name in ("labels", "annotations") and not _strings(list((metadata.get(name) or {}).values())):
            return told + "string"
    if not _strings(metadata.get("finalizers") or []):
        return "json: cannot unmarshal into field ObjectMeta.metadata.finalizers of type string"
    if not all(isinstance(item, dict) for item in metadata.get("ownerReferences") or []):
        return "json: cannot unmarshal into field ObjectMeta.metadata.ownerReferences of type object"
    return ""


def _strings(values: Sequence[Any]) -> bool:
    return all(isinstance(value, str) for value in values)
