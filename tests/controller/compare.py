"""Two recordings of a sequence held against each other, and the differences that are known, with reasons.

Compared: refusals, whether the awaited state came, each pod's Kruise annotations, images, environment, mounts, restart
counts, readiness and conditions, and the set's counters. Not compared: times, the order of pods, messages' wording.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.controller.record import Recording, Step

COUNTERS = ("matchedPods", "updatedPods", "readyPods", "updatedReadyPods")
KNOWN: Mapping[str, tuple[str, str]] = {
    "bad-then-back": (
        r"(bad image|back to v1|then v2)\b.*",
        "A roll-back to the predecessor's image while the successor fails leaves Kruise's pod with the bad image for "
        "good; here the successor gets the good image and the usual reset follows. Before that, a real kubelet "
        "reports a missing image 2 to 3 s late, the embedded one at once.",
    ),
    "empty-image-changes": (
        r"(other empty image|v2)\b.*",
        "Kruise restarts every idle container of the fleet at once; here idle containers keep the empty image.",
    ),
    "image-is-empty": (
        r"image = empty\b.*",
        "Kruise accepts an image equal to the empty one and ends with no container that works; here it is refused.",
    ),
}
"""Sequence -> where the reference controller differs on purpose (step and path), and why."""


def differences(recorded: Recording, played: Recording) -> list[str]:
    """Each as `step.path: recorded | played`."""
    if len(recorded.steps) != len(played.steps):
        return [f"{len(recorded.steps)} steps | {len(played.steps)} steps"]
    return [
        f"{one.step}{difference}"
        for one, other in zip(recorded.steps, played.steps, strict=True)
        for difference in _differ(comparable(one), comparable(other), "")
    ]


def verdict(recorded: Recording, played: Recording) -> list[str]:
    """What is wrong: differences that nobody explained, and explanations that nothing needs any more."""
    found = differences(recorded, played)
    where, _ = KNOWN.get(recorded.sequence, ("", ""))
    unexplained = [one for one in found if not where or not re.fullmatch(where, one, re.DOTALL)]
    if where and not found:
        return [f"{recorded.sequence}: the known difference is not seen any more; remove it from KNOWN"]
    return [f"{recorded.sequence}: {one}" for one in unexplained]


def comparable(step: Step) -> dict[str, Any]:
    """A step without what may differ between two runs of the same controller."""
    status = step.set.get("status")
    waited_for_set = step.step == "create set"  # it is seen at once, or just after: both are right
    return {
        "refused": bool(step.error),
        "came": waited_for_set or step.condition_met_ms is not None,
        "pods": [json.loads(text) for text in sorted(map(_pod, step.pods))],
        "status": {key: (status or {}).get(key) for key in COUNTERS} if status is not None else None,
        "environment": step.containers,
    }


def _pod(given: Mapping[str, Any]) -> str:
    """A pod with symbols numbered within itself: their names may differ, their pattern may not."""
    pod = {key: value for key, value in given.items() if key != "name"}
    kept = ("ready", "restarts", "state")
    pod["containers"] = [
        {**one, "status": {key: one["status"][key] for key in kept} if one["status"] else None}
        for one in given["containers"]
    ]
    pod["conditions"] = {kind: value[:2] for kind, value in given["conditions"].items()}
    text = json.dumps(pod, sort_keys=True)
    for kind in ("hash", "id", "revision"):
        found = list(dict.fromkeys(re.findall(rf"\b{kind}\d+\b", text)))
        text = re.sub(rf"\b{kind}\d+\b", lambda match: f"{kind}#{found.index(match.group()) + 1}", text)  # noqa: B023
    versions = sorted({int(number) for number in re.findall(r'"rv(\d+)"', text)})
    return re.sub(r'"rv(\d+)"', lambda match: f'"rv#{versions.index(int(match.group(1))) + 1}"', text)


def _differ(one: Any, other: Any, path: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            yield from _differ(one.get(key), other.get(key), f"{path}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from _differ(left, right, f"{path}[{number}]")
    elif one != other:
        yield f"{path}: {json.dumps(one)[:200]} | {json.dumps(other)[:200]}"
