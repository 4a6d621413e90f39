"""Dockerfiles as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.embedded.machine import dockerfile
from harness.embedded.machine.dockerfile import Instruction
from harness.errors import InputError


def instruction(value: str = "") -> Instruction:
    return Instruction("ENV", value, "Dockerfile:1")


def test_instructions_keep_their_line_and_lose_continuations_and_comments(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("# first\nFROM runtime\nENV a=1 \\\n  # between\n  b=2\n")
    found = dockerfile.read(file)
    assert [(i.name, i.value.split(), i.where) for i in found] == [
        ("FROM", ["runtime"], f"{file}:2"),
        ("ENV", ["a=1", "b=2"], f"{file}:3"),
    ]


@pytest.mark.parametrize("text", ["FROM runtime\nCMD\n", "FROM runtime\nCOPY <<EOF /a\nhello\nEOF\n"])
def test_what_the_parser_would_pass_over_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text(text)
    with pytest.raises(InputError, match=r"Dockerfile:[23]"):
        dockerfile.read(file)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$a", "one"),
        ("${a}x", "onex"),
        ("$ax", ""),
        ("${b:-two}", "two"),
        ("${empty:-two}", "two"),
        ("${empty-two}", ""),
        ("${a:+three}", "three"),
        ("${b:+three}", ""),
        ("'$a'", "$a"),
        ('"$a b"', "one b"),
        (r"\$a", "$a"),
        (r"a\ b", "a b"),
        ("$", "$"),
    ],
)
def test_variables_and_quotes_mean_what_they_mean_to_docker(text: str, expected: str) -> None:
    assert dockerfile.expand(instruction(), text, {"a": "one", "empty": ""}) == expected


@pytest.mark.parametrize("text", ["${a%x}", "${a", '"open'])
def test_what_cannot_be_expanded_is_refused_instead_of_guessed(text: str) -> None:
    with pytest.raises(InputError, match="Dockerfile:1"):
        dockerfile.expand(instruction(), text, {"a": "one"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1 b=2", {"a": "1", "b": "2"}),
        ('a="x y" b=$v', {"a": "x y", "b": "value"}),
        ("a some words", {"a": "some words"}),
        ("a=", {"a": ""}),
    ],
)
def test_pairs_have_two_forms(text: str, expected: dict[str, str]) -> None:
    assert dockerfile.pairs(instruction(text), {"v": "value"}) == expected


@pytest.mark.parametrize("text", ["a", "a=1 b"])
def test_a_name_without_a_value_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        dockerfile.pairs(instruction(text), {})


def test_only_a_list_of_strings_is_the_exec_form() -> None:
    assert dockerfile.json_list('["a", "b c"]') == ["a", "b c"]
    assert dockerfile.json_list("[a, b]") is None
    assert dockerfile.json_list("echo [1]") is None
    assert dockerfile.json_list("[1]") is None
