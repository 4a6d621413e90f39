"""Gates on how much traffic there was. Knows nothing of what came of it."""

from __future__ import annotations

from harness.record.classes import ENOUGH
from harness.verdict.evidence import Evidence, Pace
from harness.verdict.finding import Finding, met, some
from harness.verdict.phases import window


def requests(evidence: Evidence) -> Finding:
    """Enough requests for the claim to be worth something."""
    required = evidence.requirements.min_requests
    lacking = required - evidence.sent
    observed = f"{evidence.sent:,}" + (f", {lacking:,} too few" if lacking > 0 else "")
    return Finding(met(lacking <= 0), f"at least {required:,}", observed)


def requests_in_upgrades(evidence: Evidence) -> Finding:
    """Every class was busy while each upgrade lasted."""
    requirements = evidence.requirements
    usual = requirements.min_per_class_per_upgrade
    required = f"at least {usual:,} of each class sent or in flight between a patch and the end of its reset"
    fewer = {name: ENOUGH[name] for name in requirements.required if ENOUGH.get(name, usual) < usual}
    if fewer:
        required += "".join(f", {least} of {name}" for name, least in fewer.items())
    if requirements.expects != "settled" and not any(upgrade.flipped for upgrade in evidence.upgrades):
        return Finding("skipped", required, "no upgrade was to be seen")
    counts = {
        (name, upgrade.index): evidence.pace.get(name, Pace([])).between(*window(upgrade))
        for name in requirements.required
        for upgrade in evidence.upgrades
        if upgrade.flipped
    }
    few = {key: count for key, count in counts.items() if count < fewer.get(key[0], usual)}
    observed = f"{min(counts.values(), default=0):,} or more"
    if few:
        observed = some(f"{name} {count:,} in upgrade {index}" for (name, index), count in few.items())
    short = {name: f"too few requests in upgrade {index}" for name, index in few}
    return Finding(
        met(bool(counts) and not few), required, observed if counts else "no upgrade under traffic", short
    )
