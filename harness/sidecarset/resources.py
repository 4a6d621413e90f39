"""resourcesPolicy: a sidecar's resources computed from those of the pod's other containers.

Knows nothing of the expressions' grammar.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction

from harness.sidecarset.expressions import BadExpression, evaluate, quantity
from harness.sidecarset.names import ENV_INJECTED, Object

KINDS = ("limits", "requests")
NAMES = ("cpu", "memory")


def aggregate(policy: Object, pod: Object) -> Object:
    """The resources that the policy gives in that pod; ValueError when no container is meant, or a value is
    negative."""
    pattern = policy.get("targetContainersNameRegex", ".*")
    targets = [each for each in _candidates(pod) if re.fullmatch(pattern, each["name"])]
    if not targets:
        raise ValueError(f"resourcesPolicy: no container matches targetContainersNameRegex {pattern!r}")
    combine = max if policy.get("targetContainersMode") == "max" else sum
    result: Object = {}
    for kind in KINDS:
        for name, expression in ((policy.get("resourcesExpr") or {}).get(kind) or {}).items():
            amounts = _amounts(targets, kind, name)
            if amounts is None or not expression:
                continue
            value = evaluate(str(expression), name, Fraction(combine(amounts)))
            if value < 0:
                raise BadExpression(f"resourcesPolicy: {kind}.{name} {expression!r} gives a negative amount")
            result.setdefault(kind, {})[name] = _shown(name, value)
    return result


def _candidates(pod: Object) -> list[Object]:
    """Containers of the application, and its initContainers that keep running."""
    spec = pod.get("spec", {})
    native = [each for each in spec.get("initContainers") or [] if each.get("restartPolicy") == "Always"]
    everyone = [*(spec.get("containers") or []), *native]
    return [
        each for each in everyone if not any(env.get("name") == ENV_INJECTED for env in each.get("env") or [])
    ]


def _amounts(targets: Sequence[Object], kind: str, name: str) -> list[Fraction] | None:
    """What each target has; None when one of them has no limit, since together they then have none."""
    given = [((each.get("resources") or {}).get(kind) or {}).get(name) for each in targets]
    if kind == "limits" and None in given:
        return None
    return [quantity(each) if each is not None else Fraction(0) for each in given]


def _shown(name: str, value: Fraction) -> str:
    """Rounded up to a thousandth of a core, or to a byte."""
    return f"{math.ceil(value * 1000)}m" if name == "cpu" else str(math.ceil(value))
