"""Label selectors: does one match, is it well formed, can two be told apart. Knows nothing of what they
select."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from harness.sidecarset.fielderrors import forbidden, invalid, required
from harness.sidecarset.names import Object

OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
MAX_NAME = 63
WELL_FORMED = (
    "must consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character"
)
MAX_PREFIX = 253


def matches(selector: Object | None, labels: Mapping[str, str]) -> bool:
    """Whether a selector matches; an absent one matches nothing, an empty one everything."""
    if selector is None:
        return False
    wanted: Mapping[str, str] = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_holds(each, labels) for each in selector.get("matchExpressions") or [])


def _holds(expression: Object, labels: Mapping[str, str]) -> bool:
    key, operator = expression.get("key", ""), expression.get("operator")
    values = expression.get("values") or []
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    if operator == "Exists":
        return key in labels
    return operator == "DoesNotExist" and key not in labels


def is_empty(selector: Object) -> bool:
    """Whether a selector sets no requirement."""
    return not selector.get("matchLabels") and not selector.get("matchExpressions")


def to_query(selector: Object | None) -> str:
    """The selector's equalities as a `labelSelector` query: a superset of what it matches."""
    return ",".join(
        f"{key}={value}" for key, value in sorted(((selector or {}).get("matchLabels") or {}).items())
    )


def problems(selector: Object, path: str) -> Iterator[str]:
    """What the API's own validation of a selector finds, one message each."""
    for key, value in (selector.get("matchLabels") or {}).items():
        yield from _key_problems(key, f"{path}.matchLabels")
        yield from _value_problems(value, f"{path}.matchLabels")
    for index, expression in enumerate(selector.get("matchExpressions") or []):
        where = f"{path}.matchExpressions[{index}]"
        operator, values = expression.get("operator"), expression.get("values") or []
        if operator in ("In", "NotIn") and not values:
            yield required(f"{where}.values", "In and NotIn need values")
        elif operator in ("Exists", "DoesNotExist") and values:
            yield forbidden(f"{where}.values", "Exists and DoesNotExist take no values")
        elif operator not in OPERATORS:
            yield invalid(f"{where}.operator", operator, "not a valid selector operator")
        yield from _key_problems(expression.get("key", ""), f"{where}.key")
        for value in values:
            yield from _value_problems(value, f"{where}.values")


def _key_problems(key: str, path: str) -> Iterator[str]:
    prefix, slash, name = key.rpartition("/")
    bad_prefix = bool(slash) and (len(prefix) > MAX_PREFIX or not PREFIX.fullmatch(prefix))
    if bad_prefix or len(name) > MAX_NAME or not NAME.fullmatch(name):
        yield invalid(path, key, f"name part {WELL_FORMED}")


def _value_problems(value: Any, path: str) -> Iterator[str]:
    text = str(value)
    if text and (not isinstance(value, str) or len(text) > MAX_NAME or not NAME.fullmatch(text)):
        yield invalid(path, value, f"a label's value, unless empty, {WELL_FORMED}")


def disjoint(one: Object | None, other: Object | None) -> bool:
    """Whether no labels can match both, as far as equalities and In-expressions prove it."""
    first, second = _allowed(one), _allowed(other)
    return any(not (first[key] & second[key]) for key in first.keys() & second.keys())


def _allowed(selector: Object | None) -> dict[str, frozenset[str]]:
    allowed = {key: frozenset([value]) for key, value in ((selector or {}).get("matchLabels") or {}).items()}
    for expression in (selector or {}).get("matchExpressions") or []:
        if expression.get("operator") == "In":
            values = frozenset(expression.get("values") or [])
            allowed[expression["key"]] = allowed.get(expression["key"], values) & values
    return allowed
