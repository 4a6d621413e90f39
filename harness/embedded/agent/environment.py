"""A container's variables, evaluated anew at each of its starts: what the spec says, with references
resolved.

Knows nothing of the image's own variables and of processes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from harness.embedded.agent.fields import Facts, field, resource
from harness.embedded.agent.sources import Sources
from harness.embedded.seams import Object

REFERENCE = re.compile(r"\$\$|\$\(([^()]+)\)")


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replaces `$(NAME)` by its value; `$$` is a dollar sign, and a name that is not known stays as it is
    written."""

    def value(match: re.Match[str]) -> str:
        return "$" if match[1] is None else values.get(match[1], match[0])

    return REFERENCE.sub(value, text)


def expand_all(words: Sequence[str] | None, values: Mapping[str, str]) -> list[str] | None:
    """The same for a command line."""
    return None if words is None else [expand(word, values) for word in words]


async def environment(
    pod: Object, container: Object, base: Mapping[str, str], facts: Facts, sources: Sources
) -> dict[str, str]:
    """All variables of a container: `base`, envFrom, then env in order; SourceError, FieldError."""
    values = dict(base)
    for entry in container.get("envFrom") or []:
        values |= await _from_source(entry, sources)
    for entry in container.get("env") or []:
        value = await _value(pod, container, entry, values, facts, sources)
        if value is not None:
            values[entry["name"]] = value
    return values


async def _from_source(entry: Object, sources: Sources) -> dict[str, str]:
    prefix, found = entry.get("prefix", ""), {}
    if reference := entry.get("configMapRef"):
        found = (
            await sources.data("configmap", reference.get("name", ""), bool(reference.get("optional"))) or {}
        )
    elif reference := entry.get("secretRef"):
        found = await sources.data("secret", reference.get("name", ""), bool(reference.get("optional"))) or {}
    return {prefix + key: value.decode(errors="replace") for key, value in sorted(found.items())}


async def _value(
    pod: Object, container: Object, entry: Object, values: Mapping[str, str], facts: Facts, sources: Sources
) -> str | None:
    origin = entry.get("valueFrom")
    if not origin:
        return expand(entry.get("value") or "", values)
    if reference := origin.get("fieldRef"):
        return field(pod, reference["fieldPath"], facts)
    if reference := origin.get("resourceFieldRef"):
        return resource(pod, container, reference, facts)
    if reference := origin.get("configMapKeyRef"):
        return await sources.key("configmap", reference)
    return await sources.key("secret", origin["secretKeyRef"])
