"""Gates on what the pods did: upgrades settled, both versions answered, or nothing changed where nothing may.

Knows nothing of failures.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from math import inf

from harness.record.ledger import SLOT_S, Slot
from harness.record.upgrade import Upgrade
from harness.verdict.evidence import Evidence
from harness.verdict.finding import Finding, met, some


def upgrades_settled(evidence: Evidence) -> Finding | None:
    """As many upgrades as were asked for came to their end, at every pod."""
    requirements = evidence.requirements
    upgrades, pods = requirements.upgrades, requirements.pods
    if requirements.expects == "nothing":
        return None
    required = f"{upgrades} of {pods} pods each"
    settled = [
        upgrade
        for upgrade in evidence.upgrades
        if upgrade.settled is not None and upgrade.expect == "settled"
    ]
    partial = [upgrade for upgrade in settled if len(upgrade.pods) < pods]
    observed = f"{len(settled)} settled"
    if requirements.expects == "any":
        return Finding("skipped", "as the scenario's own checks have it", observed)
    if partial:
        observed += "; " + some(f"upgrade {upgrade.index} of {len(upgrade.pods)} pods" for upgrade in partial)
    return Finding(met(len(settled) >= upgrades and not partial), required, observed)


def nothing_changed(evidence: Evidence) -> Finding | None:
    """No pod took part in anything, and each was answered for by one version only."""
    if evidence.requirements.expects != "nothing":
        return None
    changed = [
        f"{pod.name} came to {phase.name}"
        for upgrade in evidence.upgrades
        for pod in upgrade.pods
        for phase in pod.phases[:1]
        if phase.name != "steady"
    ]
    for pod, slots in evidence.direct.items():
        versions = {version for slot in slots.all for version in slot.versions}
        if len(versions) > 1:
            changed.append(f"{pod} answered as {' and '.join(sorted(versions))}")
    return Finding("failed" if changed else "passed", "no pod changes", some(changed) or "none changed")


def versions_answered(evidence: Evidence) -> Finding:
    """Both versions answered at each pod in each upgrade: there really was something to upgrade.

    Where the header's values are tags of the images, they have to be the right ones; else any two will do.
    """
    header = evidence.requirements.version_header
    required = "the version before and the version after, at each pod in each upgrade"
    if evidence.requirements.expects != "settled":
        return Finding("skipped", required, "the scenario asks for no second version")
    if header is None:
        return Finding(
            "inconclusive", required, "no header names the version: give one with --version-header"
        )
    answered = {pod: _Versions(slots.all) for pod, slots in evidence.direct.items()}
    values = {value for of_pod in answered.values() for value in of_pod.all}
    if not values:
        return Finding("inconclusive", required, f"no answer has the header {header}")
    pods = [(upgrade, pod) for upgrade in evidence.upgrades for pod in upgrade.flipped]
    images = {*evidence.requirements.alternates, *(image for _, pod in pods for image in (pod.from_, pod.to))}
    by_tag = not values.isdisjoint(map(tag, images))
    lacking = []
    for upgrade, pod in pods:
        seen = answered[pod.name].during(upgrade) if pod.name in answered else set()
        wanted = {tag(pod.from_), tag(pod.to)}
        if not (wanted <= seen if by_tag and len(wanted) > 1 else len(seen) > 1):
            lacking.append(
                f"{pod.name} in upgrade {upgrade.index} saw {' and '.join(sorted(seen)) or 'none'}"
            )
    observed = f"{len(pods) - len(lacking)} of {len(pods)}"
    if lacking:
        observed += "; " + some(lacking)
    return Finding(met(bool(pods) and not lacking), required, observed)


class _Versions:
    """The versions that answered at one pod."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = [slot for slot in slots if slot.versions]
        self._at = [slot.at for slot in self._slots]

    @property
    def all(self) -> Iterator[str]:
        """Each as often as it came."""
        return (version for slot in self._slots for version in slot.versions)

    def during(self, upgrade: Upgrade) -> set[str]:
        """Those between the patch and the end of the upgrade, to a slot."""
        end = inf if upgrade.settled is None else upgrade.settled
        first, last = bisect_right(self._at, upgrade.patched - SLOT_S), bisect_right(self._at, end)
        return {version for slot in self._slots[first:last] for version in slot.versions}


def tag(image: str) -> str:
    """The tag of an image, `latest` where there is none: `registry:5000/team/proxy:v2@sha256:…` -> `v2`."""
    _, _, last = image.partition("@")[0].rpartition("/")
    return last.partition(":")[2] or "latest"
