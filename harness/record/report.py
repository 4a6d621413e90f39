"""The report document: report.json is this, everything else is drawn from it.

Its JSON Schema is generated from these models (docs/report.schema.json). `SCHEMA` changes when a field changes
its meaning.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from harness.record.base import Record, Time
from harness.record.ledger import Neighbour, Saturation
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


class Connections(Record):
    """What became of a class's connections, at all pods; `ledger.Sockets` says what each means."""

    opened: int = 0
    reused: int = 0
    told: int = 0
    goaway: int = 0
    closed: int = 0
    broken: int = 0


class ClassResult(Traffic):
    """The verdict on one traffic class."""

    outcome: Outcome
    reason: str | None = None
    allowed: int = Field(default=0, description="of the failed: those that the scenario allows to be lost")
    connections: Connections = Connections()
    latency: dict[PhaseName, Latency] = {}


class Gate(Record):
    """A condition that the run must meet to mean anything, or to pass."""

    name: str
    outcome: Outcome
    required: str
    observed: str


class LogLine(Record):
    """A line that a container wrote, or an event of its pod."""

    at: Time
    pod: str
    source: str = Field(description="the container, or who reported the event")
    text: str


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
    allowed: str | None = Field(default=None, description="why the scenario allows it to be lost, if it does")
    in_doubt: bool = Field(
        default=False, description="so near a phase's boundary that clocks or witnesses leave the phase open"
    )
    previous: Neighbour | None = None
    following: Neighbour | None = None
    log: list[LogLine] = Field(
        default=[], description="what both containers wrote around it; some failures only"
    )


class Point(Record):
    """A slot over all pods and classes, on the time line; its latencies leave out `stream`, long by design."""

    at: Time
    sent: int
    failed: int
    versions: dict[str, int] = {}
    p50: float | None = None
    p99: float | None = None
    opened: int = 0
    cut: int = Field(default=0, description="connections that the server ended, told or not")


ProfileName = Literal["core", "extended", "resilience"]
"""core: what every sidecar owes; extended: per feature that it has; resilience: faults."""


class Fault(Record):
    """Something that the scenario did to the pods or the cluster, beside changing an image."""

    at: Time
    name: str
    pod: str | None = None
    detail: str = ""


class Scenario(Record):
    """One scenario and what came of it. `allowance` says in words what it allows to be lost."""

    name: str
    description: str = ""
    profile: ProfileName = "core"
    repetition: int = Field(default=1, description="counts from 1 where a run repeats its scenarios")
    outcome: Outcome
    reason: str | None = None
    allowance: str | None = None
    upgrades: list[Upgrade] = []
    faults: list[Fault] = []
    traffic: Traffic = Traffic()
    classes: dict[str, ClassResult] = {}
    gates: list[Gate] = []
    failures: list[Failure] = []
    timeline: list[Point] = []
    notes: list[str] = Field(default=[], description="what the record of the scenario leaves out")


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
    supported: list[str] = Field(default=[], description="features that the implementation was seen to have")
    unsupported: dict[str, str] = Field(
        default={}, description="features that it lacks, and how that was seen"
    )


class ClockOffset(Record):
    """A pod's clock against the harness's: the pod's is ahead by `offset_ms`, give or take `uncertainty_ms`."""

    pod: str
    offset_ms: float
    uncertainty_ms: float


class Environment(Record):
    """Where it ran."""

    host: str
    cores: int
    python: str
    load_generator: str
    saturation: list[Saturation] = []
    clocks: list[ClockOffset] = []


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
