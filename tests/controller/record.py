"""What a played sequence looked like, step by step; plain JSON, and the same for every controller.

Volatile values are symbols: rv1 < rv2 < … for resourceVersions by size, hash1, id1, revision1, pod-1 … by their first
appearance. Times are milliseconds since the step began.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

FOLDER = Path(__file__).parent / "recordings"
"""Recorded from OpenKruise 1.9.0 (webhook and controller, default gates) on Kubernetes 1.33.13, one node."""

SYMBOLS = ("rv", "hash", "id", "revision", "pod-")
MARKED = re.compile(rf"@(?:{'|'.join(SYMBOLS)}):[^@]*@")


def mark(kind: str, value: str) -> str:
    """A volatile value, until `settle` turns it into a symbol."""
    return f"@{kind}:{value}@"


class Step(BaseModel):
    """One step: what was done, whether it was refused, whether the awaited state came, what was there afterwards.

    `error` is {code, reason, message}; `set` is {status, generation} or {absent: code}; `timeline` holds every distinct
    state of a pod on the way. The last step of some sequences holds the environment of processes instead.
    """

    model_config = ConfigDict(extra="forbid")

    step: str
    error: dict[str, Any] | str | None = None
    condition_met_ms: int | None = None
    pods: list[dict[str, Any]] = []
    set: dict[str, Any] = {}
    timeline: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    containers: list[dict[str, list[str]]] | None = None


class Recording(BaseModel):
    """A whole sequence."""

    model_config = ConfigDict(extra="forbid")

    sequence: str
    steps: list[Step]

    def settled(self) -> Recording:
        """With symbols in place of volatile values; what the steps' states show first has the lower number."""
        text = self.model_dump_json()
        states = json.dumps([[step.pods, step.set] for step in self.steps])
        table: dict[str, str] = {}
        for kind in SYMBOLS:
            found = re.findall(f"@{kind}:([^@]*)@", states) + re.findall(f"@{kind}:([^@]*)@", text)
            values = list(dict.fromkeys(found))
            if kind == "rv":
                values.sort(key=int)
            table |= {mark(kind, value): f"{kind}{number}" for number, value in enumerate(values, 1)}
        return Recording.model_validate_json(MARKED.sub(lambda match: table[match.group()], text))

    def write(self, folder: Path) -> None:
        """As FOLDER holds it."""
        text = json.dumps(self.model_dump(exclude_unset=True), indent=1, sort_keys=True)
        (folder / f"{self.sequence}.json").write_text(text + "\n")


def read(name: str, folder: Path = FOLDER) -> Recording:
    """The recording of a sequence."""
    return Recording.model_validate_json((folder / f"{name}.json").read_text())
