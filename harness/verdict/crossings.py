"""Gates on connections: whether any lived across each flip, and whether those that had to be kept were.

Knows nothing of requests.
"""

from __future__ import annotations

from harness.record.classes import CROSSING
from harness.verdict.evidence import Evidence
from harness.verdict.finding import Finding, met, some
from harness.verdict.phases import Flip, flips


def connections_across_flips(evidence: Evidence) -> Finding:
    """Long-lived connections were there when each pod flipped."""
    classes = [name for name in CROSSING if name in evidence.requirements.required]
    required = "one that lived across, or was told to close, per flip and class of "
    required += ", ".join(classes or CROSSING)
    if evidence.requirements.mode == "cold":
        return Finding("skipped", required, "a cold upgrade flips nothing")
    if evidence.requirements.expects != "settled":
        return Finding("skipped", required, "the scenario asks for no flip")
    if not classes:
        return Finding("skipped", required, "no such class was asked for")
    awaited = {(upgrade.index, pod.name) for upgrade in evidence.upgrades for pod in upgrade.flipped}
    seen = [
        flip
        for upgrade in evidence.upgrades
        for flip in flips(upgrade)
        if (flip.upgrade, flip.pod) in awaited
    ]
    expected = len(awaited)
    lacking = [(name, flip) for name in classes for flip in seen if not _crossed(evidence, name, flip)]
    observed = f"{len(seen) * len(classes) - len(lacking)} of {expected * len(classes)}"
    if lacking:
        observed += "; none for " + some(
            f"{name} at {flip.pod} in upgrade {flip.upgrade}" for name, flip in lacking
        )
    if len(seen) < expected:
        observed += f"; {expected - len(seen)} flips were not seen"
        return Finding("inconclusive", required, observed)
    short = {
        name: f"no connection across the flip of {flip.pod} in upgrade {flip.upgrade}"
        for name, flip in lacking
    }
    return Finding(met(bool(seen) and not lacking), required, observed, short)


def _crossed(evidence: Evidence, traffic_class: str, flip: Flip) -> bool:
    """Whether a connection that was open when the flip began outlived it, or was told to close since."""
    lives = evidence.lives.get((traffic_class, flip.pod))
    if lives is None:
        return False
    outlived = flip.end is not None and lives.last_end(flip.start) >= flip.end
    return outlived or lives.last_told(flip.start) >= flip.start - flip.precision_s


def connections_kept(evidence: Evidence) -> Finding | None:
    """The server closed no idle connection of a class that promises so."""
    classes = [
        name for name in evidence.requirements.keeps_connections if name in evidence.requirements.required
    ]
    if not classes:
        return None
    closed = {name: count for name in classes if (count := evidence.closed(name)) > 0}
    observed = ", ".join(f"{count:,} of {name}" for name, count in closed.items())
    allowed = sum(evidence.allowed_closes.get(name, 0) for name in classes)
    if allowed:
        observed = f"{observed or 'none'}; {allowed:,} more, as the scenario allows"
    short = {name: f"{count:,} closed while idle without a word" for name, count in closed.items()}
    required = f"none of {', '.join(classes)} closed while idle without a word"
    return Finding("failed" if closed else "passed", required, observed or "none", short)
