"""What the admin listener shows: metrics, health, readiness, the state of hand-overs.

Knows nothing of HTTP but status and content type.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sidecar.admin import Page, Pages
from sidecar.config import Config
from sidecar.log import Log
from sidecar.probe import NOT_YET
from sidecar.proxy.service import Service
from sidecar.record import Record

READY = frozenset({"working", "idle"})


def pages(
    config: Config, state: Callable[[], dict[str, Any]], log: Log, service: Service, record: Record
) -> Pages:
    """Every page by its path; `state` is what the control channel tells as well."""
    identity = {"release": config.release, "generation": config.generation}

    def numbers() -> Page:
        # When it is asked for: a start is not to wait for a library that serving does not need.
        from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

        from sidecar.metrics import Metrics

        metrics = Metrics(identity, {"role": log.role, "phase": str(state()["phase"])}, service, record)
        return Page(200, CONTENT_TYPE_PLAIN_0_0_4, metrics.exposition())

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
        "/metrics": numbers,
        "/healthz": lambda: verdict(state()["phase"] not in NOT_YET),
        "/readyz": lambda: verdict(state()["phase"] in READY),
        "/hand-over": handover,
    }
