"""The mutants as images: made as a vendor's are, named after their fault, told in one table."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path

import pytest

from harness.embedded.machine import dockerfile
from harness.embedded.machine.build import Builder
from harness.embedded.machine.images import catalogue
from harness.images import builds
from harness.images.engine import Engine
from harness.images.order import ordered
from tests.images.fakes import FakeDocker
from tests.mutants.conftest import MUTANTS, OWN, names

DOCS = Path(__file__).parents[2] / "docs" / "mutants.md"
SUBSET = {"FROM", "ARG", "ENV", "COPY", "USER", "WORKDIR", "ENTRYPOINT", "CMD", "LABEL", "EXPOSE"}


@pytest.mark.parametrize("name", names())
def test_a_mutant_is_named_after_its_fault_and_changes_files_of_the_base_alone(
    name: str, images: Builder
) -> None:
    folder = MUTANTS / "mutant" / name
    instructions = dockerfile.read(folder / "Dockerfile")
    assert {instruction.name for instruction in instructions} <= SUBSET
    assert [i.value for i in instructions if i.name == "FROM"] == ["mutant:base"]
    image, base = images.image(f"mutant:{name}"), images.image("mutant:base")
    assert image.env == {**base.env, "MUTANT": name}
    assert image.labels["org.opencontainers.image.version"] == name
    assert (image.entrypoint, image.user) == (base.entrypoint, "65532:65532")
    assert image.id != base.id
    changed = {
        str(path.relative_to(image.root))
        for path in image.root.rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and path.read_bytes() != (base.root / path.relative_to(image.root)).read_bytes()
    }
    assert changed
    assert changed <= {"opt/sidecar/fault.py", "migrate.sh"}
    hook = image.root / "migrate.sh"
    assert os.access(hook, os.X_OK)


@pytest.mark.parametrize("name", names())
def test_a_mutant_says_what_is_wrong_with_it_and_who_would_notice(name: str) -> None:
    module = MUTANTS / "mutant" / name / f"{name.replace('-', '_')}.py"
    if module.exists():
        text = ast.get_docstring(ast.parse(module.read_text())) or ""
    else:
        text = (MUTANTS / "mutant" / name / "migrate.sh").read_text()
    assert "Seen by: " in text


def test_the_table_of_the_documentation_has_each_mutant_once() -> None:
    assert sorted(re.findall(r"^\| `([a-z-]+)` \|", DOCS.read_text(), re.MULTILINE)) == names()


def test_a_docker_engine_builds_them_from_the_same_files() -> None:
    known = catalogue([OWN, MUTANTS])
    refs = [f"mutant:{name}" for name in names()]
    built = list(builds.build(Engine(FakeDocker()), ordered(known, refs), builds.Options()))
    assert {image.ref for image in built} == {*refs, "mutant:base", "sidecar:base", "runtime-sidecar:latest"}


def test_nobody_gets_a_mutant_who_did_not_name_their_folder() -> None:
    assert not [ref for ref in catalogue([OWN]).refs() if "mutant" in ref]
