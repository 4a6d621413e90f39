"""The JSON Schemas of a run's records, made from their models.

Run `python -m harness.report.schema docs/report.schema.json docs/load-test.schema.json` when they have changed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from harness.record.base import Record
from harness.record.loadtest import LoadTest
from harness.record.report import Report

MODELS: dict[str, type[Record]] = {"report.schema.json": Report, "load-test.schema.json": LoadTest}
"""By the name of the file."""


def schema(model: type[Record] = Report) -> dict[str, Any]:
    """JSON Schema of what is written of a record."""
    made = model.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def text(model: type[Record] = Report) -> str:
    """The schema as it lies in the repository."""
    return json.dumps(schema(model), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(text(MODELS[path.name]), encoding="utf-8")
