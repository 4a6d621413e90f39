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
from harness.act import Act
from harness.errors import HotupgradeError
from harness.manifest import Subject, canonical_image
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
from harness.redact import Redaction
from harness.verdict import judge

FREE_TEXT = ("reason", "message", "detail", "observed", "notes", "text", "unsupported")
"""Fields of a report that can hold what pods, applications and API servers say; secrets are looked for there."""
UNKNOWN = Controller(name="unknown", version="unknown")  # the run ended before the cluster was up


@dataclass
class Account:
    """Complete or not, the report is made of it. `load_spec` is the JSON of requests of the user's own."""

    subject: Subject
    kind: str
    command: Sequence[str]
    seed: int
    started: float
    load_spec: str = ""
    cluster: ClusterInfo | None = None
    images: dict[str, ImageInfo] = field(default_factory=dict)
    acts: list[Act] = field(default_factory=list)
    error: BaseException | None = None

    def report(self) -> Report:
        """The verdict on what was seen, with all that is needed to read it, and without secrets."""
        scenarios = [act.verdict() for act in self.acts]
        outcome, reason = self._outcome(scenarios)
        redaction = self.redaction()
        loads = [ledger for act in self.acts for ledger in act.loads]
        unspoken = {name: why for act in self.acts for name, why in act.unspoken.items()}
        spoken = {name for scenario in scenarios for name, result in scenario.classes.items() if result.sent}
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
            scenarios=scenarios,
            claim=judge.claim(scenarios),
            profile=judge.profile(
                scenarios,
                supported=sorted(spoken - set(unspoken)),
                unsupported=unspoken,
            ),
            environment=Environment(
                host=f"{socket.gethostname()}, {platform.system()} {platform.release()}",
                cores=os.cpu_count() or 1,
                python=sys.version.split()[0],
                load_generator=f"locust {version('locust')}",
                saturation=[ledger.saturation for ledger in loads],
                clocks=[clock for act in self.acts for clock in act.clocks],
            ),
        )
        return Report.model_validate(redaction.fields(report.model_dump(), FREE_TEXT))

    def redaction(self) -> Redaction:
        """What nobody is to read of this run: neither in its report nor on the terminal."""
        return Redaction(self.subject.text, self.command, self.load_spec)

    def _outcome(self, scenarios: Sequence[Scenario]) -> tuple[Outcome, str | None]:
        """What the run comes to, also when something ended it early."""
        judged = judge.overall(scenarios)
        error = self.error
        if error is None or (judged == "failed" and isinstance(error, HotupgradeError)):
            return judged, _reason(scenarios, judged)
        if isinstance(error, HotupgradeError):
            return "inconclusive", str(error)  # all lines: events and logs
        if isinstance(error, Exception):
            return "inconclusive", f"{type(error).__name__}: {error}"
        return "interrupted", "ended by a signal"

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


def _reason(scenarios: Sequence[Scenario], outcome: Outcome) -> str | None:
    """The reason of the first scenario that made the run what it is, with its name where there are several."""
    decisive = [one for one in scenarios if one.outcome == outcome and one.reason]
    if not decisive:
        return None
    first = decisive[0]
    if len(scenarios) == 1:
        return first.reason
    more = f" (and {len(decisive) - 1} more)" if len(decisive) > 1 else ""
    return f"{first.name}: {first.reason}{more}"
