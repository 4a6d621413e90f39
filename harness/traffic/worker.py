"""A worker of the load generator, as the harness sees it: asked, stopped, read, and remembered when it is lost.

Knows nothing of the other workers and of Locust's master.
"""

from __future__ import annotations

import json
import time
from typing import Any, TypeVar

from pydantic import ValidationError

from harness.errors import ClusterError
from harness.record.ledger import AppLedger, LoadLedger
from harness.traffic import workload
from harness.traffic.kept import Kept
from harness.traffic.pod import Pod
from harness.traffic.proxy import Method, PodPort

KEEP_EVERY_S = 10.0  # its recent ledger spans 15 s

LedgerT = TypeVar("LedgerT", LoadLedger, AppLedger)


class Worker:
    """One worker, by its pod."""

    def __init__(self, pod: Pod) -> None:
        self.pod = pod
        self.totals = (0, 0)
        """Requests sent and failed, when it was asked last."""
        self.behind_s = 0.0
        """How much of its schedule it had not caught up with, then."""
        self.lost: str | None = None
        """Why it could not be stopped in order, if so."""
        self._kept = Kept()
        self._kept_at = 0.0

    @property
    def port(self) -> PodPort:
        """Where it serves ledger, progress and clock."""
        return self.pod.port(workload.LEDGER_PORT)

    def look(self, timeout_s: float) -> dict[str, Any]:
        """How far it is; Unreachable."""
        state: dict[str, Any] = json.loads(self._ask("GET", "/progress", timeout_s))
        self.totals, self.behind_s = (state["sent"], state["failed"]), state["behind_s"]
        return state

    def keep(self, timeout_s: float) -> None:
        """Fetches what is new in its ledger, if it is time again; Unreachable."""
        now = time.time()
        if now - self._kept_at >= KEEP_EVERY_S:
            self._kept.add(self._ask("GET", "/recent", timeout_s))
            self._kept_at = now

    def tell_to_stop(self, timeout_s: float) -> None:
        """Its users finish the request that they are in, and no more; ClusterError."""
        try:
            self._ask("POST", "/stop", timeout_s)
        except ClusterError as error:
            self.lost = self.pod.fate(error)

    def await_stop(self, timeout_s: float, call_s: float) -> None:
        """Returns when no user is left, or when there is nothing to wait for."""

        def over() -> bool | None:
            return not self.look(call_s)["running"] or None

        try:
            self.pod.wait("for its users to end", timeout_s, over)
        except ClusterError as error:
            self.lost = str(error)

    def ledger(self, timeout_s: float) -> tuple[LoadLedger | None, str | None]:
        """All that it recorded, or what was kept of it when it does not answer any more; and the problem, if any."""
        try:
            body = self.pod.ask("GET", workload.LEDGER_PORT, "/ledger", timeout_s)
            return parse(LoadLedger, self.pod.name, body), self.lost
        except ClusterError as error:
            why = self.lost or self.pod.fate(error)
        kept = self._kept.ledger()
        if kept is None:
            return None, f"{why}\nnothing that it recorded is kept"
        until = time.strftime("%H:%M:%S", time.gmtime(self._kept_at))
        return kept, f"{why}\nwhat it recorded up to {until} UTC is kept"

    def _ask(self, method: Method, path: str, timeout_s: float) -> bytes:
        return self.port.call(method, path, timeout_s)


def parse(model: type[LedgerT], pod: str, body: bytes) -> LedgerT:
    """A ledger that a pod served; ClusterError."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        raise ClusterError(f"pod {pod} served something else than a ledger: {first['msg']}") from error
