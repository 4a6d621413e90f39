"""The record of a load test: load-test.json is this. The run that it rests on is report.json, beside it.

`SCHEMA` changes when a field changes its meaning. Knows nothing of how the figures are found.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from harness.record.base import Record, Time
from harness.record.report import ClusterInfo, Environment, Implementation, Latency, Outcome
from harness.record.upgrade import PhaseName

SCHEMA: Final = "hotupgrade.load-test/v1"

Limit = Literal["sidecar", "load generator", "ramp"]
"""What a ramp ended at: the sidecar with what is behind it; the generator itself; the ramp's own last step."""


class Limits(Record):
    """What a step of the ramp has to keep to."""

    reached: float = Field(
        default=0.98, description="share of the requests asked for that came to an end, at least"
    )
    p99_ms: float = Field(default=250.0, description="p99 from the intended send time, at most")
    late: float = Field(default=0.02, description="share of requests that the generator sent late, at most")
    busy: float = Field(
        default=0.95,
        description="share of the time in which a worker of the generator had something to do, at most",
    )


class RampStep(Record):
    """One step. Rates are requests a second; latencies leave out `stream`, long by design."""

    factor: float = Field(
        description="times the classes' usual rates; those of an interval of their own keep it"
    )
    asked: float
    reached: float
    failed: int
    latency: Latency | None = Field(description="none where many of its requests never came to an end")
    late: float = Field(description="share of requests that the generator sent late; of the worst worker")
    busy: float = Field(
        description="share of the time in which a worker had something to do; of the worst one"
    )
    lacks: list[str] = Field(description="what it did not keep to, in words; none: the answers kept up")


class Knee(Record):
    """The highest rate at which the answers kept up. `at_least`: what ended the ramp was not the sidecar."""

    factor: float
    rate: float = Field(description="requests a second that were reached")
    p99_ms: float
    limit: Limit
    at_least: bool
    why: str = Field(description="what the next step lacked")


class PhaseFigures(Record):
    """One phase of all upgrades from one image to another, over all pods. `rate` is right answers a second and pod."""

    phase: PhaseName
    seconds: float = Field(description="how long pods were in it, all together")
    sent: int
    failed: int
    rate: float
    latency: Latency | None


class VersionPair(Record):
    """All upgrades from one image to another. A pod's settled phase, until the next patch, is still theirs."""

    from_: str = Field(alias="from")
    to: str
    upgrades: int
    phases: list[PhaseFigures]


class Soak(Record):
    """A part of the knee, under upgrades. Rates are requests a second."""

    factor: float
    asked: float
    reached: float
    seconds: float
    upgrades: int = Field(description="that settled")
    sent: int
    failed: int
    outcome: Outcome
    reason: str | None = None
    latency: Latency | None
    pairs: list[VersionPair]


class LoadTest(Record):
    """The whole record."""

    schema_: Literal["hotupgrade.load-test/v1"] = Field(default=SCHEMA, alias="schema")
    outcome: Outcome
    reason: str | None = None
    started: Time
    finished: Time
    command: list[str]
    version: str = Field(description="version of this kit")
    cluster: ClusterInfo
    implementation: Implementation
    environment: Environment
    pods: int
    workers: int
    limits: Limits
    ramp: list[RampStep]
    knee: Knee | None
    soak: Soak | None
