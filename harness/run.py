"""One run: a cluster, a SidecarSet, traffic, upgrades, a verdict, a report. Knows nothing of which cluster it is on.

    cluster up -> namespace, SidecarSet, application pods with their pairs -> traffic flows
    -> upgrades -> traffic stops -> ledgers -> verdict -> report -> everything gone

Whatever happens on the way, what was started is taken down and a report of what was seen is written.
"""

from __future__ import annotations

import os
import platform
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kubernetes import client as k8s

from harness import __version__
from harness.cluster.protocol import Cluster
from harness.errors import ClusterError, HotupgradeError
from harness.manifest import Subject
from harness.progress import Progress
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
from harness.report import files
from harness.traffic.load import CLASSES, Load, Target, app_ledger
from harness.traffic.workload import APP_IMAGE, LOADGEN_IMAGE, app_deployment
from harness.upgrade import driver, pods, sidecarset
from harness.verdict import judge
from harness.verdict.gates import Requirements

WARM_UP_S = 1.5  # steady traffic before the first patch: connections are open and every class has been round once
COOL_DOWN_S = 1.5  # steady traffic after the last reset, so that a late failure is still seen
PROGRESS_S = 0.5  # how often totals are asked for
MIN_REQUESTS_PER_UPGRADE = 4000  # five upgrades make the 20,000 that bound the failure rate at 1.5 in 10,000


@dataclass(frozen=True)
class RunOptions:
    """What a run is asked for."""

    subject: Subject
    upgrades: int
    pods: int
    version_header: str | None
    reports: Path
    command: Sequence[str]
    seed: int = field(default_factory=lambda: secrets.randbits(32))


@dataclass
class Seen:
    """What has been seen so far; complete or not, the report is made of it."""

    started: float
    cluster: ClusterInfo | None = None
    images: dict[str, ImageInfo] = field(default_factory=dict)
    upgrades: list[Upgrade] = field(default_factory=list)
    loads: list[LoadLedger] = field(default_factory=list)
    apps: dict[str, AppLedger | None] = field(default_factory=dict)
    error: BaseException | None = None


def images_needed(subject: Subject) -> list[str]:
    """Every image that a run with this subject starts."""
    return list(dict.fromkeys([*subject.images, subject.empty_image or subject.image, APP_IMAGE, LOADGEN_IMAGE]))
