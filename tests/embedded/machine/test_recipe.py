"""What a Dockerfile asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.embedded.machine import dockerfile
from harness.embedded.machine.dockerfile import Instruction
from harness.embedded.machine.recipe import Config, Copy, Folder, Recipe, evaluate
from harness.errors import InputError

RUNTIME = Config(
    scratch=False, env={"PATH": "/bin"}, entrypoint=("/entry",), command=("inherited",), user="65532"
)


def base_of(instruction: Instruction, name: str) -> Config:
    if name != "runtime":
        raise instruction.wrong(f"no image {name}")
    return RUNTIME


def recipe(tmp_path: Path, text: str) -> Recipe:
    file = tmp_path / "Dockerfile"
    file.write_text(text)
    return evaluate(dockerfile.read(file), str(file), base_of)


def test_an_image_inherits_what_it_does_not_set(tmp_path: Path) -> None:
    config = recipe(tmp_path, "FROM runtime\nENV A=1\nLABEL v=2\n").config
    assert (config.env, config.labels) == ({"PATH": "/bin", "A": "1"}, {"v": "2"})
    assert (config.entrypoint, config.command, config.user) == (("/entry",), ("inherited",), "65532")


def test_a_new_entry_point_drops_the_inherited_command_but_not_ones_own(tmp_path: Path) -> None:
    assert recipe(tmp_path, 'FROM runtime\nENTRYPOINT ["/new"]\n').config.command == ()
    own = recipe(tmp_path, 'FROM runtime\nCMD ["own"]\nENTRYPOINT ["/new"]\n').config
    assert (own.entrypoint, own.command) == (["/new"], ["own"])


def test_the_shell_form_runs_in_the_shell_of_the_image(tmp_path: Path) -> None:
    assert recipe(tmp_path, "FROM runtime\nCMD exec me $A\n").config.command == [
        "/bin/sh",
        "-c",
        "exec me $A",
    ]
    text = 'FROM runtime\nSHELL ["/bin/bash", "-ec"]\nCMD hello\n'
    assert recipe(tmp_path, text).config.command == ["/bin/bash", "-ec", "hello"]


def test_arguments_have_defaults_and_end_with_their_stage(tmp_path: Path) -> None:
    stage = "FROM ${base}\nARG base\nARG v=${base}-1\nENV A=$v PATH=/x:$PATH\n"
    text = f"ARG base=runtime\n{stage}FROM scratch\nENV B=${{v:-none}}\n"
    first, second = recipe(tmp_path, text).stages
    assert first.config.env == {"PATH": "/x:/bin", "A": "runtime-1"}
    assert second.config.env == {"B": "none"}


def test_paths_are_relative_to_the_working_directory(tmp_path: Path) -> None:
    text = "FROM runtime\nWORKDIR /srv\nWORKDIR app\nCOPY a b/\nCOPY a ../c\nCOPY a .\n"
    steps = recipe(tmp_path, text).stages[0].steps
    assert [step.path for step in steps if isinstance(step, Folder)] == ["/srv", "/srv/app"]
    copies = [step.destination for step in steps if isinstance(step, Copy)]
    assert copies == ["/srv/app/b/", "/srv/c", "/srv/app/"]


def test_copy_knows_its_options(tmp_path: Path) -> None:
    text = 'FROM scratch AS made\nFROM runtime\nCOPY --from=made --chown=1:2 --chmod=750 ["x y", "/z"]\n'
    (step,) = recipe(tmp_path, text).stages[1].steps
    assert isinstance(step, Copy)
    assert (step.origin, step.owner, step.mode, step.sources, step.destination) == (
        0,
        "1:2",
        0o750,
        ["x y"],
        "/z",
    )


def test_a_stage_can_stand_on_an_earlier_one(tmp_path: Path) -> None:
    first, second = recipe(tmp_path, "FROM runtime AS a\nENV A=1\nFROM a\nENV B=$A\n").stages
    assert first.name == "a"
    assert (second.base, second.config.env["B"]) == (0, "1")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("RUN apt-get install x", "installs nothing"),
        ("ADD https://example.org/x /x", "URLs and archives"),
        ("ADD x.tar.gz /x", "URLs and archives"),
        ("ONBUILD COPY a b", "not supported"),
        ("STOPSIGNAL SIGQUIT", "SIGTERM only"),
        ("COPYY a b", "did you mean COPY"),
        ("COPY a", "a source and a destination"),
        ("COPY a b c", "ends with /"),
        ("COPY --chmod=u+x a b", "octal"),
        ("COPY --parents a b", "--parents"),
        ("COPY --from=nothing a b", "no image nothing"),
        ("FROM nothing", "no image nothing"),
        ("SHELL sh -c", "SHELL"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_its_line(tmp_path: Path, line: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as caught:
        recipe(tmp_path, f"FROM runtime\n{line}\n")
    assert f"{tmp_path}/Dockerfile:2: " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("line", ["HEALTHCHECK CMD true", "EXPOSE 80", "STOPSIGNAL SIGTERM", "VOLUME /data"])
def test_what_changes_nothing_in_a_pod_is_accepted(tmp_path: Path, line: str) -> None:
    assert recipe(tmp_path, f"FROM runtime\n{line}\n").config == RUNTIME


def test_the_base_image_keeps_its_configuration_without_its_installation(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("ARG B=python:3\nFROM ${B}\nRUN pip install x\nUSER 1\n")
    machine = Config(scratch=False, env={"PATH": "/venv"})
    made = evaluate(dockerfile.read(file), str(file), base_of, machine)
    assert (made.config.user, made.config.env, made.stages[0].base) == ("1", {"PATH": "/venv"}, None)


@pytest.mark.parametrize("text", ["", "ENV a=1\n"])
def test_a_dockerfile_without_from_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="FROM"):
        recipe(tmp_path, text)
