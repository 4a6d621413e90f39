"""The report document: report.json is this, everything else is drawn from it.

Its JSON Schema is generated from these models (docs/report.schema.json). `SCHEMA` changes when a field changes
its meaning.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from harness.record.base import Record, Time
from harness.record.ledger import Saturation
from harness.record.upgrade import PhaseName, Upgrade

SCHEMA: Final = "hotupgrade.report/v1"

Outcome = Literal["passed", "failed", "inconclusive", "skipped", "interrupted"]
"""`interrupted` only for a whole run that SIGINT or SIGTERM ended."""


class ImageInfo(Record):
    """An image as the cluster resolved it."""

    ref: str
    id: str


class Implementation(Record):
    """What is under test; images are keyed by their tag, e.g. v1, v2, empty."""

    name: str
    version: str
    organization: str | None = None
    url: str | None = None
    images: dict[str, ImageInfo]


class Controller(Record):
    """Who drove the upgrade: the reference controller or Kruise."""

    name: str
    version: str


class ClusterInfo(Record):
    """What the run ran on. `notes` states in words what makes its timings differ from a real cluster's."""

    kind: str
    kubernetes: str
    controller: Controller
    nodes: list[str]
    notes: list[str] = []


class Traffic(Record):
    """Disjoint counts. failed = lost + executed_unanswered + errors + corrupted + duplicated."""

    sent: int = 0
    answered: int = 0
    lost: int = Field(default=0, description="no answer, never executed")
    errors: int = Field(
        default=0, description="answered with a status or protocol error that the application did not send"
    )
    corrupted: int = 0
    duplicated: int = Field(default=0, description="executed more than once")
    executed_unanswered: int = Field(default=0, description="executed, no answer")
    closed_connections: int = Field(
        default=0, description="idle connections that the server closed without a word"
    )
    failed: int = 0


class Latency(Record):
    """Milliseconds from the intended send time."""

    count: int
    p50: float
    p90: float
    p99: float
    p999: float
    max: float


class ClassResult(Traffic):
    """The verdict on one traffic class."""

    outcome: Outcome
    reason: str | None = None
    latency: dict[PhaseName, Latency] = {}


class Gate(Record):
    """A condition that the run must meet to mean anything, or to pass."""

    name: str
    outcome: Outcome
    required: str
    observed: str


class Failure(Record):
    """One failed request, with the pod's phase at its intended send time."""

    traffic_class: str = Field(alias="class")
    client: str
    sequence: int
    pod: str
    at: Time
    ended: Time
    phase: PhaseName
    upgrade: int | None = Field(default=None, description="index of the upgrade under way")
    kind: Literal["lost", "executed_unanswered", "errors", "corrupted", "duplicated"]
    detail: str
    served_by: str | None = None


class Point(Record):
    """A slot over all pods and classes, on the time line; its latencies leave out `stream`, long by design."""

    at: Time
    sent: int
    failed: int
    versions: dict[str, int] = {}
    p50: float | None = None
    p99: float | None = None


class Scenario(Record):
    """One scenario and what came of it."""

    name: str
    outcome: Outcome
    reason: str | None = None
    upgrades: list[Upgrade] = []
    traffic: Traffic = Traffic()
    classes: dict[str, ClassResult] = {}
    gates: list[Gate] = []
    failures: list[Failure] = []
    timeline: list[Point] = []


class Claim(Record):
    """No failure in N requests bounds the failure rate: at 95 % confidence it lies below `upper_bound_95`."""

    requests: int
    failed: int
    upper_bound_95: float


class ProfileResult(Record):
    """Result and counts of one part of a profile, after the Gateway API's ConformanceReport."""

    result: Outcome
    statistics: dict[Literal["passed", "failed", "skipped"], int]
    skipped: list[str] = []
    failed: list[str] = []


class Profile(Record):
    """The conformance part."""

    name: str
    core: ProfileResult
    extended: ProfileResult | None = None
    resilience: ProfileResult | None = None


class Environment(Record):
    """Where it ran."""

    host: str
    cores: int
    python: str
    load_generator: str
    saturation: list[Saturation] = []


class Report(Record):
    """The whole record of a run."""

    schema_: Literal["hotupgrade.report/v1"] = Field(default=SCHEMA, alias="schema")
    outcome: Outcome
    reason: str | None = None
    started: Time
    finished: Time
    command: list[str]
    seed: int
    version: str = Field(description="version of this kit")
    cluster: ClusterInfo
    implementation: Implementation
    manifest: str = Field(
        description="the SidecarSet as it was given, YAML, its secrets replaced by [redacted]"
    )
    scenarios: list[Scenario]
    claim: Claim
    profile: Profile
    environment: Environment
