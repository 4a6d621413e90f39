"""What the admin listener shows: metrics, health, readiness, the state of hand-overs.

Knows nothing of HTTP but status and content type.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from sidecar.admin import Page, Pages
from sidecar.config import Config
from sidecar.log import Log
from sidecar.metrics import Metrics
from sidecar.probe import NOT_YET
from sidecar.proxy.service import Service
from sidecar.record import Record

READY = frozenset({"working", "idle"})


def pages(
    config: Config, state: Callable[[], dict[str, Any]], log: Log, service: Service, record: Record
) -> Pages:
    """Every page by its path; `state` is what the control channel tells as well."""
    identity = {"release": config.release, "generation": config.generation}
    metrics = Metrics(identity, lambda: {"role": log.role, "phase": str(state()["phase"])}, service, record)

    def verdict(good: bool) -> Page:
        return Page(200 if good else 503, "text/plain", f"{state()['phase']}\n".encode())

    def handover() -> Page:
        document = {
            **state(),
            "role": log.role,
            "version": config.version,
            "alt": config.alt,
            "listeners": [{"address": str(one), "kind": one.kind.value} for one in config.listeners],
            **record.document(),
        }
        return Page(200, "application/json", json.dumps(document, indent=2).encode() + b"\n")

    return {
        "/metrics": lambda: Page(200, CONTENT_TYPE_PLAIN_0_0_4, metrics.exposition()),
        "/healthz": lambda: verdict(state()["phase"] not in NOT_YET),
        "/readyz": lambda: verdict(state()["phase"] in READY),
        "/hand-over": handover,
    }
