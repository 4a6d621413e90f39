"""Messages about fields, worded as the API server words them: path, kind of error, value, reason."""

from __future__ import annotations

import json


def invalid(path: str, value: object, reason: str) -> str:
    """The field has a value that it must not have."""
    return f"{path}: Invalid value: {json.dumps(value)}: {reason}"


def required(path: str, reason: str = "") -> str:
    """The field has no value."""
    return f"{path}: Required value" + (f": {reason}" if reason else "")


def duplicate(path: str, value: object, reason: str = "") -> str:
    """Another one has that value already."""
    return f"{path}: Duplicate value: {json.dumps(value)}" + (f": {reason}" if reason else "")


def forbidden(path: str, reason: str) -> str:
    """The field must not be given here."""
    return f"{path}: Forbidden: {reason}"
