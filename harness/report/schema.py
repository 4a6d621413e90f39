"""The JSON Schema of report.json, made from its models.

Run `python -m harness.report.schema docs/report.schema.json` when they have changed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from harness.record.report import Report


def schema() -> dict[str, Any]:
    """JSON Schema of what `files.write` writes."""
    made = Report.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def text() -> str:
    """The schema as it lies in the repository."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text(), encoding="utf-8")
