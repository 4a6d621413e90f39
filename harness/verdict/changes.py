"""Gates on what the pods did: upgrades settled, both versions answered, or nothing changed where nothing may.

Knows nothing of failures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

from harness.record.series import SLOT_S, Series
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
    for pod, series in evidence.direct.items():
        versions = _Versions(series).all
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
    answered = {pod: _Versions(series) for pod, series in evidence.direct.items()}
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

    def __init__(self, series: Sequence[Series]) -> None:
        self._series = series

    @property
    def all(self) -> set[str]:
        """Those of the whole run."""
        return set(self._between(-inf, inf))

    def during(self, upgrade: Upgrade) -> set[str]:
        """Those between the patch and the end of the upgrade, to a slot."""
        end = inf if upgrade.settled is None else upgrade.settled
        return set(self._between(upgrade.patched - SLOT_S, end))

    def _between(self, start: float, end: float) -> Iterator[str]:
        """Those in slots that start later than `start` and not later than `end`."""
        for one in self._series:
            first, last = one.after(start), one.after(end)
            yield from (version for version, counts in one.versions.items() if any(counts[first:last]))


def tag(image: str) -> str:
    """The tag of an image, `latest` where there is none: `registry:5000/team/proxy:v2@sha256:…` -> `v2`."""
    _, _, last = image.partition("@")[0].rpartition("/")
    return last.partition(":")[2] or "latest"
