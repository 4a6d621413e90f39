"""Which outcome of several is the outcome of the whole. Knows nothing of what has an outcome."""

from __future__ import annotations

from collections.abc import Collection

from harness.record.report import Outcome

OUTRANKS: tuple[Outcome, ...] = ("interrupted", "failed", "inconclusive", "passed", "skipped")
"""The first of these that any part has is the outcome of the whole."""


def worst(outcomes: Collection[Outcome]) -> Outcome:
    """Of nothing at all: inconclusive."""
    return next((outcome for outcome in OUTRANKS if outcome in outcomes), "inconclusive")
