"""A run's folder: report.json, which is the record, and what is drawn from it. Knows nothing of verdicts.

Each file appears whole or not at all; report.json comes first, so that a killed run lacks drawings at worst.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from harness.errors import InputError
from harness.record.report import Report
from harness.report import badge, junit, page, summary

RECORD = "report.json"
DRAWINGS: dict[str, Callable[[Report], str]] = {
    "summary.md": summary.markdown,
    "junit.xml": junit.xml,
    "badge.svg": badge.svg,
    "report.html": page.html,
}


def write(report: Report, folder: Path) -> Path:
    """Writes a report's files, points `latest` beside the folder at it, and returns the record's path."""
    folder.mkdir(parents=True, exist_ok=True)
    put(folder / RECORD, report.model_dump_json(indent=1) + "\n")
    draw(report, folder)
    _point(folder.parent / "latest", folder.name)
    return folder / RECORD


def draw(report: Report, folder: Path) -> list[Path]:
    """Writes what is drawn from the record, and returns where it is."""
    return [put(folder / name, of_report(report)) for name, of_report in DRAWINGS.items()]


def read(path: Path) -> Report:
    """Reads report.json, given itself or its folder; InputError if it is not one."""
    path = path / RECORD if path.is_dir() else path
    try:
        return Report.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise InputError(f"{path}: {reason}; give a {RECORD} or the folder that holds one") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(
            f"{path}: not a report of this kit: {where}: {first['msg']}; give an unchanged {RECORD}"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text; give an unchanged {RECORD}") from error


def put(path: Path, text: str) -> Path:
    """Writes a file that appears whole or not at all."""
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)
    return path


def _point(link: Path, target: str) -> None:
    draft = link.with_name(f".{link.name}.part")
    draft.unlink(missing_ok=True)
    draft.symlink_to(target)
    try:
        os.replace(draft, link)
    except OSError as error:
        draft.unlink()
        raise InputError(f"{link}: cannot be pointed at {target}; remove what is there") from error
