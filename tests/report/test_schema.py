import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness.report import schema
from tests.report import example

PUBLISHED = Path(__file__).parents[2] / "docs" / "report.schema.json"


def document() -> Any:
    return json.loads(example.small().model_dump_json())


def test_published_schema_is_the_models() -> None:
    """Made anew by `python -m harness.report.schema docs/report.schema.json`."""
    assert PUBLISHED.read_text(encoding="utf-8") == schema.text()


def test_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema.schema())


@pytest.mark.parametrize("report", [example.several(), example.interrupted(), example.crashed()])
def test_reports_meet_the_schema(report: Any) -> None:
    jsonschema.validate(json.loads(report.model_dump_json()), schema.schema())


@pytest.mark.parametrize("place", ["run", "scenario", "class", "gate", "profile"])
def test_unknown_outcome_is_rejected(place: str) -> None:
    spoiled = document()
    scenario = spoiled["scenarios"][0]
    holders = {
        "run": spoiled,
        "scenario": scenario,
        "class": scenario["classes"]["post"],
        "gate": scenario["gates"][0],
    }
    if place == "profile":
        spoiled["profile"]["core"]["result"] = "nearly"
    else:
        holders[place]["outcome"] = "nearly"
    with pytest.raises(jsonschema.ValidationError, match="'nearly' is not one of"):
        jsonschema.validate(spoiled, schema.schema())


def test_unknown_field_is_rejected() -> None:
    with pytest.raises(jsonschema.ValidationError, match="Additional properties"):
        jsonschema.validate(document() | {"rating": 5}, schema.schema())


def test_missing_field_is_rejected() -> None:
    spoiled = document()
    del spoiled["claim"]
    with pytest.raises(jsonschema.ValidationError, match="'claim' is a required property"):
        jsonschema.validate(spoiled, schema.schema())


def test_command_writes_the_schema(tmp_path: Path) -> None:
    target = tmp_path / "report.schema.json"
    subprocess.run([sys.executable, "-m", "harness.report.schema", str(target)], check=True, timeout=30)
    assert target.read_text(encoding="utf-8") == schema.text()
