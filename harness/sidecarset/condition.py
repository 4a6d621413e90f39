"""The pod condition SidecarSetUpgradable: whether each of its sets can be brought up to date in place.

Its message is a JSON map from set to verdict; one false makes the condition False. Knows nothing of the API.
"""

from __future__ import annotations

import json

from harness.sidecarset import pods
from harness.sidecarset.names import UPGRADABLE_CONDITION, Object


def verdicts(pod: Object) -> dict[str, bool]:
    """What the condition says of each set; what cannot be read says nothing."""
    try:
        found = json.loads(pods.condition(pod, UPGRADABLE_CONDITION).get("message") or "{}")
    except ValueError:
        return {}
    return (
        {key: value for key, value in found.items() if isinstance(value, bool)}
        if isinstance(found, dict)
        else {}
    )


def changed(pod: Object, sidecarset: str, upgradable: bool, now: str) -> Object | None:
    """The condition with that verdict on one set; None when it says so already."""
    known = verdicts(pod)
    if known.get(sidecarset) is upgradable:
        return None
    known[sidecarset] = upgradable
    good = all(known.values())
    before = pods.condition(pod, UPGRADABLE_CONDITION)
    value = "True" if good else "False"
    return {
        "type": UPGRADABLE_CONDITION,
        "status": value,
        "reason": "AllSidecarsetUpgradable" if good else "UpdateImmutableField",
        "message": json.dumps(known, separators=(",", ":"), sort_keys=True),
        "lastTransitionTime": before["lastTransitionTime"] if before.get("status") == value else now,
    }
