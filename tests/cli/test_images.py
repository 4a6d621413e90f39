"""`hotupgrade images` on an engine that records, and without one."""

from __future__ import annotations

from pathlib import Path

import docker as docker_sdk
import pytest
from click.testing import CliRunner, Result
from docker.errors import DockerException

from harness.cli.images import command
from harness.errors import ClusterError, InputError
from harness.images import engine
from tests.images.fakes import FakeDocker, archive


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    fake = FakeDocker()
    monkeypatch.setattr(engine, "connect", lambda: engine.Engine(fake))
    return fake


def images(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def test_what_was_built_is_listed_with_what_was_not(docker: FakeDocker) -> None:
    assert images("build", "sidecar:v1").exit_code == 0
    lines = images("list").output.splitlines()
    assert next(line for line in lines if line.startswith("sidecar:v1")).split()[1] == "0" * 12
    assert next(line for line in lines if line.startswith("app:v1")).split()[1:] == ["not", "built"]


def test_the_variables_of_make_reach_the_build(docker: FakeDocker, tmp_path: Path) -> None:
    (tmp_path / "h2-4-py3-none-any.whl").write_bytes(b"w")
    variables = {"BASE_IMAGE": "mirror/python:3.12", "WHEELHOUSE": str(tmp_path)}
    assert CliRunner(env=variables).invoke(command, ["build", "sidecar:v1"]).exit_code == 0
    base = dict(docker.built)["runtime-sidecar:latest"]
    assert base["buildargs"] == {"BASE_IMAGE": "mirror/python:3.12"}
    assert "wheels/h2-4-py3-none-any.whl" in base["files"]


def test_folders_of_others_are_built_likewise(docker: FakeDocker, tmp_path: Path) -> None:
    (tmp_path / "team/proxy/v2").mkdir(parents=True)
    (tmp_path / "team/proxy/v2/Dockerfile").write_text("FROM runtime-sidecar\n")
    assert images("build", "--images", str(tmp_path), "team/proxy:v2").exit_code == 0
    assert [ref for ref, _ in docker.built] == ["runtime-sidecar:latest", "team/proxy:v2"]


def test_a_bundle_holds_every_image_by_name(docker: FakeDocker, tmp_path: Path) -> None:
    assert images("build").exit_code == 0
    assert images("save", str(tmp_path / "bundle.tar")).exit_code == 0
    assert sorted(docker.asked[0][1]) == sorted(docker.tags)


def test_a_loaded_archive_is_told_by_its_names(docker: FakeDocker, tmp_path: Path) -> None:
    (tmp_path / "bundle.tar").write_bytes(archive("a:v1", "b:v1"))
    assert images("load", str(tmp_path / "bundle.tar")).output == "a:v1\nb:v1\n"
    assert docker.loaded


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["build", "sidecar:v9"], "did you mean sidecar:base"),
        (["build", "--wheelhouse", "/nowhere"], "/nowhere: no such folder; fill it with make wheelhouse"),
        (["load", "/nowhere.tar"], "/nowhere.tar: No such file"),
    ],
)
def test_wrong_input_is_refused_before_an_engine_is_asked(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.setattr(engine, "connect", lambda: pytest.fail("the engine was asked"))
    error = images(*arguments).exception
    assert isinstance(error, InputError)
    assert said in str(error)


@pytest.mark.parametrize("name", ["list", "build"])
def test_without_an_engine_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def nobody(**_: object) -> None:
        raise DockerException("Error while fetching server API version:\nno such file")

    monkeypatch.setattr(docker_sdk, "from_env", nobody)
    error = images(name).exception
    assert isinstance(error, ClusterError)
    assert "no Docker engine answers" in str(error)
    assert "install Docker" in str(error)
    assert "\n" not in str(error)
