"""Building images: whose files lie where, and what the id depends on."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.embedded.machine.build import Builder
from harness.embedded.machine.images import catalogue
from harness.embedded.seams import Image, ImageNotFound

RUNTIME = "FROM elsewhere\nRUN install everything\nUSER 65532\n"


@pytest.fixture
def top(tmp_path: Path) -> Path:
    write(tmp_path / "images", {"runtime/Dockerfile": RUNTIME})
    return tmp_path / "images"


def write(top: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)


def build(top: Path, ref: str) -> Image:
    into = top.parent / f"built-{len(list(top.parent.iterdir()))}"
    into.mkdir()
    return Builder(catalogue([top]), into).image(ref)


def files(image: Image) -> dict[str, str]:
    return {
        str(path.relative_to(image.root)): path.read_text()
        for path in sorted(image.root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_files_and_folders_go_where_docker_puts_them(top: Path) -> None:
    write(
        top,
        {
            "a/v1/Dockerfile": "FROM runtime\nWORKDIR /w\nCOPY one /one\nCOPY one two d/\nCOPY tree /t\n"
            "COPY o* /glob/\nCOPY one /tmp\n",
            "a/v1/one": "1",
            "a/v1/two": "2",
            "a/v1/tree/x/y": "y",
        },
    )
    image = build(top, "a:v1")
    assert files(image) == {
        "one": "1",
        "w/d/one": "1",
        "w/d/two": "2",
        "t/x/y": "y",
        "glob/one": "1",
        "tmp/one": "1",
    }
    assert (image.user, image.working_dir, image.scratch, image.ref) == (
        "65532",
        "/w",
        False,
        "docker.io/library/a:v1",
    )


def test_modes_are_kept_or_set_and_links_stay_links(top: Path) -> None:
    write(
        top,
        {
            "a/v1/Dockerfile": "FROM scratch\nCOPY run /run\nCOPY --chmod=640 run /other\nCOPY d /d\n",
            "a/v1/run": "#!",
            "a/v1/d/f": "f",
        },
    )
    (top / "a/v1/run").chmod(0o755)
    (top / "a/v1/d/link").symlink_to("f")
    root = build(top, "a:v1").root
    assert stat.S_IMODE((root / "run").stat().st_mode) == 0o755
    assert stat.S_IMODE((root / "other").stat().st_mode) == 0o640
    assert os.readlink(root / "d/link") == "f"


def test_an_image_stacks_on_another_without_changing_it(top: Path) -> None:
    write(
        top,
        {
            "a/base/Dockerfile": "FROM runtime\nCOPY f g /\nENV A=1\n",
            "a/base/f": "base",
            "a/base/g": "base",
            "a/v1/Dockerfile": "FROM a:base\nCOPY f /f\nENV B=$A\n",
            "a/v1/f": "mine",
        },
    )
    builder = Builder(catalogue([top]), top.parent)
    mine, base = builder.image("a:v1"), builder.image("a:base")
    assert files(mine) == {"f": "mine", "g": "base"}
    assert files(base) == {"f": "base", "g": "base"}
    assert mine.env["B"] == "1"
    assert mine.id != base.id


def test_stages_and_other_images_give_files(top: Path) -> None:
    write(
        top,
        {
            "tool/v1/Dockerfile": "FROM scratch\nCOPY t /bin/t\n",
            "tool/v1/t": "tool",
            "a/v1/Dockerfile": "FROM runtime AS made\nCOPY f /out/f\nFROM scratch\n"
            "COPY --from=made /out /out\nCOPY --from=tool:v1 /bin/t /t\nCOPY --from=made /etc/passwd /p\n",
            "a/v1/f": "made",
        },
    )
    found = files(build(top, "a:v1"))
    assert (found["out/f"], found["t"], found["p"]) == ("made", "tool", Path("/etc/passwd").read_text())


def test_the_bases_links_are_followed(top: Path) -> None:
    if not Path("/bin").is_symlink():
        pytest.skip("/bin is a directory here")
    write(
        top, {"a/v1/Dockerfile": "FROM runtime\nCOPY t /bin/t\nCOPY d /bin\n", "a/v1/t": "t", "a/v1/d/u": "u"}
    )
    assert files(build(top, "a:v1")) == {"usr/bin/t": "t", "usr/bin/u": "u"}


def test_ignored_files_stay_out(top: Path) -> None:
    write(
        top,
        {
            "a/v1/Dockerfile": "FROM scratch\nCOPY . /all\n",
            "a/v1/.dockerignore": "# none of these\n*.log\nsecret\n!keep.log\nDockerfile\n",
            "a/v1/x.log": "",
            "a/v1/keep.log": "",
            "a/v1/secret/key": "",
            "a/v1/f": "",
        },
    )
    assert set(files(build(top, "a:v1"))) == {"all/.dockerignore", "all/keep.log", "all/f"}


def test_the_id_depends_on_content_and_configuration_alone(top: Path) -> None:
    write(top, {"a/v1/Dockerfile": "FROM scratch\nCOPY f /f\n", "a/v1/f": "1"})
    first = build(top, "a:v1").id
    assert first == build(top, "a:v1").id
    assert first.startswith("sha256:")
    assert len(first) == len("sha256:") + 64
    seen = {first}
    changes: list[Callable[[], None]] = [
        lambda: write(top, {"a/v1/f": "2"}),
        lambda: (top / "a/v1/f").chmod(0o700),
        lambda: write(top, {"a/v1/Dockerfile": "FROM scratch\nCOPY f /f\nLABEL a=b\n"}),
        lambda: write(top, {"a/v1/Dockerfile": "FROM runtime\nCOPY f /f\nLABEL a=b\n"}),
        lambda: write(top, {"runtime/Dockerfile": RUNTIME + "LABEL x=y\n"}),
    ]
    for change in changes:
        change()
        seen.add(build(top, "a:v1").id)
    assert len(seen) == 6


def test_python_is_compiled_in_the_image_and_nowhere_else(top: Path) -> None:
    write(
        top,
        {
            "a/v1/Dockerfile": "FROM runtime\nCOPY m.py /lib/m.py\n",
            "a/v1/m.py": "raise ValueError(__file__)\n",
        },
    )
    root = build(top, "a:v1").root
    (compiled,) = root.rglob("*.pyc")
    assert list(top.rglob("*.pyc")) == []
    done = subprocess.run([sys.executable, compiled], capture_output=True, text=True, check=False)
    assert 'File "/' in done.stderr
    assert str(root) not in done.stderr.partition("Traceback")[2].partition("ValueError")[0]


def test_an_unknown_image_is_not_found(top: Path) -> None:
    with pytest.raises(ImageNotFound, match="no image 'b:v1'"):
        build(top, "b:v1")


def test_a_file_missing_in_another_image_is_told_when_it_is_built(top: Path) -> None:
    write(top, {"a/v1/Dockerfile": "FROM scratch AS s\nFROM scratch\nCOPY --from=s /gone /x\n"})
    with pytest.raises(ImageNotFound, match="Dockerfile:3: COPY: no '/gone'"):
        build(top, "a:v1")
