"""The images that folders hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.embedded.machine.images import catalogue, familiar, normalise
from harness.errors import InputError

PROJECT = Path(__file__).resolve().parents[3]


def folder(top: Path, images: dict[str, str]) -> Path:
    for name, text in images.items():
        (top / name).mkdir(parents=True)
        (top / name / "Dockerfile").write_text(text)
    return top


@pytest.mark.parametrize(
    ("ref", "full"),
    [
        ("sidecar:v1", "docker.io/library/sidecar:v1"),
        ("docker.io/library/sidecar:v1", "docker.io/library/sidecar:v1"),
        ("index.docker.io/sidecar:v1", "docker.io/library/sidecar:v1"),
        ("sidecar", "docker.io/library/sidecar:latest"),
        ("team/proxy:v2", "docker.io/team/proxy:v2"),
        ("localhost:5000/proxy:v2", "localhost:5000/proxy:v2"),
        ("registry.example.org/a/b-c:1.0_x", "registry.example.org/a/b-c:1.0_x"),
        ("a@sha256:" + "0" * 64, None),
        ("Sidecar:v1", None),
        ("side car", None),
        ("a:", None),
        ("", None),
    ],
)
def test_names_are_completed_as_docker_completes_them(ref: str, full: str | None) -> None:
    assert normalise(ref) == full


def test_short_names_lose_only_what_docker_adds() -> None:
    assert familiar("docker.io/library/a:v1") == "a:v1"
    assert familiar("docker.io/t/a:v1") == "t/a:v1"
    assert familiar("quay.io/t/a:v1") == "quay.io/t/a:v1"


def test_folders_are_names_and_tags(tmp_path: Path) -> None:
    top = folder(tmp_path, {"runtime": "FROM x\n", "a/v1": "FROM runtime\n", "team/proxy/v2": "FROM a:v1\n"})
    (top / "a/v1/inner/v3").mkdir(parents=True)
    (top / "a/v1/inner/v3/Dockerfile").write_text("no image of its own")
    images = catalogue([top])
    assert images.refs() == ["a:v1", "runtime:latest", "team/proxy:v2"]
    found = images.find("docker.io/team/proxy:v2")
    assert found is not None
    assert found.folder == top / "team/proxy/v2"
    assert images.find("team/proxy:v3") is None
    assert images.find("NOT a name") is None


def test_an_unknown_image_is_explained_in_one_line(tmp_path: Path) -> None:
    images = catalogue([folder(tmp_path, {"sidecar/v1": "FROM scratch\n", "app/v1": "FROM scratch\n"})])
    assert images.near("sidecar:v9") == ["sidecar:v1"]
    assert images.near("sidcar:v1") == ["sidecar:v1"]
    assert images.missing("sidcar:v1") == "no image 'sidcar:v1'; did you mean sidecar:v1?"
    assert images.missing("zzz") == "no image 'zzz'; there are app:v1, sidecar:v1"
    assert "a digest names no image here" in images.missing("app@sha256:" + "0" * 64)
    assert "no image name" in images.missing("App")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ({"a/v1": "FROM b:v1\n"}, "a/v1/Dockerfile:1: FROM: no image 'b:v1'; did you mean a:v1?"),
        ({"a/v1": "FROM b:v1\n", "b/v1": "FROM a:v1\n"}, "made from this image itself"),
        ({"A/v1": "FROM scratch\n"}, "is no image name"),
        ({"a/v1": "FROM scratch\nCOPY gone /x\n"}, "a/v1/Dockerfile:2: COPY: no 'gone'"),
        ({"a/v1": "FROM scratch\nCOPY ../x /x\n"}, "lies outside"),
        ({"a/v1": "FROM scratch\nCOPY a/../../x /x\n"}, "lies outside"),
        ({"a/v1": "FROM scratch\nRUN x\n"}, "a/v1/Dockerfile:2: RUN: "),
        ({".": "FROM scratch\n"}, "has no name"),
        ({}, "holds no images"),
    ],
)
def test_a_wrong_image_is_told_before_anything_starts(
    tmp_path: Path, images: dict[str, str], message: str
) -> None:
    top = tmp_path / "images"
    top.mkdir()
    for name, text in images.items():
        (top / name).mkdir(parents=True, exist_ok=True)
        (top / name / "Dockerfile").write_text(text)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        catalogue([top])
    assert "\n" not in str(caught.value)


def test_a_link_out_of_the_context_is_refused(tmp_path: Path) -> None:
    top = folder(tmp_path / "images", {"a/v1": "FROM scratch\nCOPY secret /x\n"})
    (top / "a/v1/secret").symlink_to("/etc/passwd")
    with pytest.raises(InputError, match="outside of"):
        catalogue([top])


def test_no_folder_and_duplicates_are_input_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        catalogue([tmp_path / "gone"])
    one = folder(tmp_path / "one", {"a/v1": "FROM scratch\n"})
    two = folder(tmp_path / "two", {"a/v1": "FROM scratch\n"})
    with pytest.raises(InputError, match="defined in"):
        catalogue([one, two])
    assert catalogue([one, one]).refs() == ["a:v1"]


def test_a_folder_of_images_in_another_one_is_to_be_named_by_itself(tmp_path: Path) -> None:
    top = folder(tmp_path, {"a/v1": "FROM scratch\n", "more/b/v1": "FROM a:v1\n"})
    (top / "more" / ".catalogue").touch()
    assert catalogue([top]).refs() == ["a:v1"]
    assert catalogue([top, top / "more"]).refs() == ["a:v1", "b:v1"]


def test_the_projects_own_images_are_right() -> None:
    assert {"app:v1", "loadgen:v1", "runtime:latest"} <= set(catalogue([PROJECT / "images"]).refs())


@pytest.mark.parametrize(
    ("base", "needed"),
    [
        ("runtime", {"uvloop", "httptools", "aiohttp", "locust", "gevent"}),
        ("runtime-sidecar", {"uvloop", "httptools", "h2", "prometheus_client"}),
    ],
)
def test_a_base_installs_the_versions_that_the_project_is_tested_with(base: str, needed: set[str]) -> None:
    pinned = re.findall(r"^[^#\s]+==\S+$", (PROJECT / "constraints.txt").read_text(), re.MULTILINE)
    text = (PROJECT / f"images/{base}/requirements.txt").read_text()
    installed = [line for line in text.splitlines() if not line.startswith("#")]
    assert set(installed) - set(pinned) == set()
    assert needed <= {pin.partition("==")[0] for pin in installed}


def test_the_bases_are_made_in_the_same_way() -> None:
    texts = [(PROJECT / f"images/{base}/Dockerfile").read_text() for base in ("runtime", "runtime-sidecar")]
    steps = [
        [line for line in text.splitlines() if not line.startswith(("#", "LABEL", "    org."))]
        for text in texts
    ]
    assert steps[0] == steps[1]
