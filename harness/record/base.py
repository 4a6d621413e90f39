"""Base of all record models, and the one representation of time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema


def to_rfc3339(seconds: float) -> str:
    """Unix seconds as RFC 3339 in UTC with microseconds, e.g. `2026-01-02T03:04:05.678901Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_rfc3339(value: object) -> float:
    """Unix seconds from RFC 3339 text or a number; raises ValueError for anything else."""
    if isinstance(value, str):
        return datetime.fromisoformat(value).timestamp()
    if isinstance(value, int | float):
        return float(value)
    raise ValueError(f"not a time: {value!r}")


Time = Annotated[
    float,
    BeforeValidator(from_rfc3339),
    PlainSerializer(to_rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""Unix seconds in Python, RFC 3339 in JSON."""


class Record(BaseModel):
    """A record: unknown fields are refused, and fields may be given by name or alias."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, serialize_by_alias=True)
