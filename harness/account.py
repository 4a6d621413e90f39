"""What a run has seen so far, and the report that is made of it. Knows nothing of how anything was seen."""

from __future__ import annotations

import os
import platform
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

from harness import __version__
from harness.errors import HotupgradeError
from harness.manifest import Subject, canonical_image
from harness.record.ledger import AppLedger, LoadLedger
from harness.record.report import (
    ClusterInfo,
    Controller,
    Environment,
    ImageInfo,
    Implementation,
    Outcome,
    Report,
    Scenario,
)
from harness.record.upgrade import Upgrade
from harness.redact import Redaction
from harness.verdict import judge
from harness.verdict.gates import Requirements

FREE_TEXT = ("reason", "message", "detail", "observed", "notes")
"""Fields of a report that can hold what pods, applications and API servers say; secrets are looked for there."""
UNKNOWN = Controller(name="unknown", version="unknown")  # the run ended before the cluster was up


@dataclass
class Account:
    """Complete or not, the report is made of it.

    `load_spec` is the JSON of requests of the user's own; `locust_requests` has one number for each lap.
    """

    subject: Subject
    kind: str
    command: Sequence[str]
    seed: int
    requirements: Requirements
    started: float
    load_spec: str = ""
    cluster: ClusterInfo | None = None
    images: dict[str, ImageInfo] = field(default_factory=dict)
    upgrades: list[Upgrade] = field(default_factory=list)
    loads: list[LoadLedger] = field(default_factory=list)
    apps: dict[str, AppLedger | None] = field(default_factory=dict)
    locust_requests: list[int | None] = field(default_factory=list)
    error: BaseException | None = None

    def report(self) -> Report:
        """The verdict on what was seen, with all that is needed to read it, and without secrets."""
        scenario = self._scenario()
        outcome, reason = _outcome(judge.overall([scenario]), scenario.reason, self.error)
        redaction = self.redaction()
        report = Report(
            outcome=outcome,
            reason=reason,
            started=self.started,
            finished=time.time(),
            command=redaction.command,
            seed=self.seed,
            version=__version__,
            cluster=self.cluster
            or ClusterInfo(kind=self.kind, kubernetes="unknown", controller=UNKNOWN, nodes=[]),
            implementation=self._implementation(),
            manifest=redaction.manifest,
            scenarios=[scenario],
            claim=judge.claim([scenario]),
            profile=judge.profile([scenario]),
            environment=Environment(
                host=f"{socket.gethostname()}, {platform.system()} {platform.release()}",
                cores=os.cpu_count() or 1,
                python=sys.version.split()[0],
                load_generator=f"locust {version('locust')}",
                saturation=[ledger.saturation for ledger in self.loads],
            ),
        )
        return Report.model_validate(redaction.fields(report.model_dump(), FREE_TEXT))

    def redaction(self) -> Redaction:
        """What nobody is to read of this run: neither in its report nor on the terminal."""
        return Redaction(self.subject.text, self.command, self.load_spec)

    def _scenario(self) -> Scenario:
        counted = [count for count in self.locust_requests if count is not None]
        locust = sum(counted) if counted and len(counted) == len(self.locust_requests) else None
        name = f"{self.subject.mode}-upgrade"
        return judge.judge(name, self.upgrades, self.loads, self.apps, self.requirements, locust)

    def _implementation(self) -> Implementation:
        subject = self.subject
        repository, _, _ = canonical_image(subject.image).rpartition(":")
        own = [subject.image, *subject.images, *([subject.empty_image] if subject.empty_image else [])]
        return Implementation(
            name=repository,
            version=", ".join(dict.fromkeys(_tag(image) for image in subject.images)),
            images={_tag(ref): self.images[ref] for ref in dict.fromkeys(own) if ref in self.images},
        )


def _tag(ref: str) -> str:
    return canonical_image(ref).rpartition(":")[2]


def _outcome(judged: Outcome, reason: str | None, error: BaseException | None) -> tuple[Outcome, str | None]:
    """What the run comes to when something ended it early; failures that were seen by then stay in the record."""
    if error is None:
        return judged, reason
    if isinstance(error, HotupgradeError):
        return "failed" if judged == "failed" else "inconclusive", str(error)  # all lines: events and logs
    if isinstance(error, Exception):
        return "inconclusive", f"{type(error).__name__}: {error}"
    return "interrupted", "ended by a signal"
