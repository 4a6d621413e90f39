"""Applies what a scenario allows to what was lost: each loss is covered by one allowance at most. Knows no gate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from harness.record.ledger import SERVICE, LoadLedger
from harness.verdict.evidence import Loss, pods_of
from harness.verdict.requirements import Allowance

SEEN_WITHIN_S = 1.0  # a client sees a refusal or a reset at once; clocks differ
WAITED_S = 11.0  # a client waits 10 s for an answer


def allow(losses: Sequence[Loss], allowances: Sequence[Allowance]) -> list[Loss]:
    """The losses, in their order, with the reason why they are allowed where they are."""
    left = [allowance.most for allowance in allowances]
    return [_allow(loss, allowances, left) for loss in losses]


def closes(loads: Sequence[LoadLedger], allowances: Sequence[Allowance]) -> Counter[str]:
    """For each class: the connections closed without a word that an allowance covers; `most` is of requests only."""
    found: Counter[str] = Counter()
    for load in loads:
        pods = {client.name: pods_of(client) for client in load.clients}
        for one in load.connections if allowances else ():
            if one.how != "closed" or one.ended is None:
                continue
            touched = pods.get(one.client, (one.pod,))
            found[one.traffic_class] += any(
                _whom(allowance, touched) and allowance.start <= one.ended <= allowance.end + SEEN_WITHIN_S
                for allowance in allowances
            )
    return found


def words(allowances: Sequence[Allowance]) -> str | None:
    """What is allowed, for the report."""
    return "; ".join(dict.fromkeys(_words(allowance) for allowance in allowances)) or None


def _words(allowance: Allowance) -> str:
    return allowance.why if allowance.most is None else f"{allowance.why} (at most {allowance.most:,})"


def _allow(loss: Loss, allowances: Sequence[Allowance], left: list[int | None]) -> Loss:
    for number, allowance in enumerate(allowances):
        room = left[number]
        if room != 0 and _covers(allowance, loss):
            left[number] = None if room is None else room - 1
            return replace(loss, allowed=allowance.why)
    return loss


def _covers(allowance: Allowance, loss: Loss) -> bool:
    request = loss.request
    waited = request.in_flight or request.seen == "timeout"
    latest = allowance.end + (WAITED_S if waited else SEEN_WITHIN_S)
    return (
        request.at <= allowance.end
        and allowance.start <= request.ended <= latest
        and request.fate in allowance.fates
        and (allowance.kinds is None or request.seen in allowance.kinds)
        and _whom(allowance, pods_of(request.client))
    )


def _whom(allowance: Allowance, pods: Sequence[str]) -> bool:
    """A client of the Service may have been led to any pod."""
    return allowance.pods is None or SERVICE in pods or not allowance.pods.isdisjoint(pods)
