"""Dockerfiles as text: instructions with their lines, words, variables. Knows nothing of what one does.

`dockerfile-parse` finds the instructions; its own replacement of variables is not used because it turns
`${v:-word}` into something else without a word.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dockerfile_parse import DockerfileParser

from harness.errors import InputError

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:(:?[-+])([^}]*))?\})")


@dataclass(frozen=True)
class Instruction:
    """One instruction; `where` is file:line for messages."""

    name: str
    value: str
    where: str

    def wrong(self, why: str) -> InputError:
        """The error that says what is wrong with it."""
        return InputError(f"{self.where}: {self.name}: {why}")


def read(path: Path) -> list[Instruction]:
    """The instructions of a Dockerfile; InputError for what is none."""
    try:
        text = path.read_bytes()
        structure = DockerfileParser(fileobj=io.BytesIO(text)).structure
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a Dockerfile: {error}") from error
    _complain_about_stray_lines(path, text.decode(), structure)
    found = []
    for entry in structure:
        if entry["instruction"] == "COMMENT":
            continue
        instruction = Instruction(
            entry["instruction"], entry["value"].strip(), f"{path}:{entry['startline'] + 1}"
        )
        if not instruction.value:
            raise instruction.wrong("has no arguments")
        if "<<" in instruction.value and instruction.name in ("COPY", "ADD"):
            raise instruction.wrong(
                "here-documents are not supported; put the text in a file beside the Dockerfile"
            )
        found.append(instruction)
    return found


def _complain_about_stray_lines(path: Path, text: str, structure: list[dict[str, object]]) -> None:
    """The parser passes over lines that hold a single word."""
    taken: set[int] = set()
    for entry in structure:
        taken.update(range(int(str(entry["startline"])), int(str(entry["endline"])) + 1))
    for number, line in enumerate(text.splitlines()):
        if line.strip() and number not in taken:
            raise InputError(f"{path}:{number + 1}: {line.strip()!r} is no instruction with arguments")


def expand(instruction: Instruction, text: str, variables: Mapping[str, str]) -> str:
    """Replaces variables and removes quotes and backslashes, as Docker does for one word."""
    done, quote, at = "", "", 0
    while at < len(text):
        char = text[at]
        if char == "\\" and quote != "'" and at + 1 < len(text):
            following = text[at + 1]
            done += following if quote == "" or following in '"$\\' else char + following
            at += 2
        elif char in "'\"" and quote in ("", char):
            quote, at = ("" if quote else char), at + 1
        elif char == "$" and quote != "'":
            match = _VARIABLE.match(text, at)
            if match is None:
                if text[at + 1 : at + 2] == "{":
                    raise instruction.wrong(
                        f"{text[at:]!r}: only ${{name}}, ${{name:-word}} and ${{name:+word}} are supported"
                    )
                done, at = done + char, at + 1
            else:
                done, at = done + _value(instruction, match, variables), match.end()
        else:
            done, at = done + char, at + 1
    if quote:
        raise instruction.wrong(f"unfinished quote in {text!r}")
    return done


def _value(instruction: Instruction, match: re.Match[str], variables: Mapping[str, str]) -> str:
    name, operator, word = match[1] or match[2], match[3], match[4]
    value = variables.get(name)
    given = bool(value) if operator and operator.startswith(":") else value is not None
    if operator is None:
        return value or ""
    if operator.endswith("-"):
        return str(value) if given else expand(instruction, word, variables)
    return expand(instruction, word, variables) if given else ""


def words(instruction: Instruction, text: str) -> list[str]:
    """Splits at spaces outside quotes; quotes and variables stay in the words."""
    found, word, quote, escaped = [], "", "", False
    for char in text:
        if char.isspace() and not quote and not escaped:
            found += [word] if word else []
            word = ""
            continue
        if not escaped and char in "'\"" and quote in ("", char):
            quote = "" if quote else char
        escaped = char == "\\" and not escaped and quote != "'"
        word += char
    if quote:
        raise instruction.wrong(f"unfinished quote in {text!r}")
    return found + ([word] if word else [])


def pairs(instruction: Instruction, variables: Mapping[str, str]) -> dict[str, str]:
    """`name=value …` or, the older form, `name value`."""
    parts = words(instruction, instruction.value)
    if not parts:
        raise instruction.wrong("needs name=value")
    if "=" not in parts[0]:
        name, _, value = instruction.value.partition(" ")
        if not value.strip():
            raise instruction.wrong(f"{name!r} has no value; write {name}=value")
        return {name: expand(instruction, value.strip(), variables)}
    found = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals or not name:
            raise instruction.wrong(f"{part!r} is not name=value")
        found[expand(instruction, name, variables)] = expand(instruction, value, variables)
    return found


def json_list(text: str) -> list[str] | None:
    """The list of the exec form, or None when the text has not that form."""
    if not text.startswith("["):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None  # as Docker: then it is a shell's line
    return value if isinstance(value, list) and all(isinstance(part, str) for part in value) else None
