"""The images on a Docker engine: in order, from contexts that are the same everywhere, saved as one archive."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from harness.embedded.machine.images import Catalogue, catalogue
from harness.errors import ClusterError, InputError
from harness.images import builds
from harness.images.archive import Archives
from harness.images.bake import bake
from harness.images.context import pack
from harness.images.engine import Built, Engine, names_in
from harness.images.order import ordered
from tests.images.fakes import FakeDocker, archive

OWN = Path(__file__).parents[2] / "images"
PLAIN = builds.Options()


def folders(top: Path, files: dict[str, str]) -> Catalogue:
    for name, text in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    return catalogue([top])


def build(engine: Engine, known: Catalogue, refs: Sequence[str], options: builds.Options) -> Iterator[Built]:
    return builds.build(engine, ordered(known, refs), options)


@pytest.fixture
def three(tmp_path: Path) -> Catalogue:
    return folders(
        tmp_path,
        {
            "a/v1/Dockerfile": "FROM b:v1\n",
            "b/v1/Dockerfile": "FROM runtime\nCOPY --from=c:v1 /f /f\n",
            "c/v1/Dockerfile": "FROM scratch\nCOPY f /f\n",
            "c/v1/f": "f",
            "runtime/Dockerfile": "ARG BASE_IMAGE=python\nFROM ${BASE_IMAGE}\n",
            "runtime/requirements.txt": "h2\n",
        },
    )


def test_what_others_are_made_from_is_built_first(three: Catalogue) -> None:
    docker = FakeDocker()
    built = [image.ref for image in build(Engine(docker), three, ["a:v1"], PLAIN)]
    assert built[-2:] == ["b:v1", "a:v1"]
    assert set(built) == {"a:v1", "b:v1", "c:v1", "runtime:latest"}
    assert {image.ref for image in build(Engine(FakeDocker()), three, ["c:v1"], PLAIN)} == {"c:v1"}


def test_an_unknown_image_is_named_with_near_ones_before_anything_is_built(three: Catalogue) -> None:
    docker = FakeDocker()
    with pytest.raises(InputError, match=r"no image 'a:v2'; did you mean a:v1\?"):
        list(build(Engine(docker), three, ["a:v2"], PLAIN))
    assert docker.built == []


def test_a_base_image_goes_only_to_dockerfiles_that_ask_for_one(three: Catalogue) -> None:
    docker = FakeDocker()
    list(build(Engine(docker), three, ["b:v1"], builds.Options(base_image="mirror/python:3.12")))
    arguments = {ref: options["buildargs"] for ref, options in docker.built}
    assert arguments["runtime:latest"] == {"BASE_IMAGE": "mirror/python:3.12"}
    assert arguments["b:v1"] == arguments["c:v1"] == {}


def test_a_wheelhouse_goes_into_the_context_of_what_installs(three: Catalogue, tmp_path: Path) -> None:
    wheels = tmp_path / "house"
    wheels.mkdir()
    with pytest.raises(InputError, match="holds no wheels; fill it with make wheelhouse"):
        list(build(Engine(FakeDocker()), three, ["b:v1"], builds.Options(wheelhouse=wheels)))
    (wheels / "h2-4-py3-none-any.whl").write_bytes(b"w")
    docker = FakeDocker()
    list(build(Engine(docker), three, ["b:v1"], builds.Options(wheelhouse=wheels)))
    files = {ref: set(options["files"]) for ref, options in docker.built}
    assert files["runtime:latest"] == {"Dockerfile", "requirements.txt", "wheels/h2-4-py3-none-any.whl"}
    assert files["c:v1"] == {"Dockerfile", "f"}


def test_a_wheelhouse_that_is_not_there_is_refused(three: Catalogue) -> None:
    with pytest.raises(InputError, match="/nowhere: no such folder"):
        list(build(Engine(FakeDocker()), three, ["a:v1"], builds.Options(wheelhouse=Path("/nowhere"))))


def test_a_failed_build_is_told_with_its_last_lines(three: Catalogue) -> None:
    with pytest.raises(
        ClusterError, match=r"(?s)image b:v1 cannot be built: it went wrong.*Step 1/2 : FROM nothing"
    ):
        list(build(Engine(FakeDocker(broken="b:v1")), three, ["a:v1"], PLAIN))


def test_a_context_depends_on_nothing_but_names_contents_and_the_executable_bit(tmp_path: Path) -> None:
    contexts = []
    for number, folder in enumerate((tmp_path / "one", tmp_path / "two")):
        (folder / "sub").mkdir(parents=True)
        (folder / "sub" / "run.sh").write_text("x")
        (folder / "sub" / "run.sh").chmod(0o700 if number else 0o755)
        (folder / "f").write_text("f")
        (folder / "f").chmod(0o600 if number else 0o644)
        os.utime(folder / "f", (number, number))
        (folder / "__pycache__").mkdir()
        (folder / "__pycache__" / f"f.{number}.pyc").write_text("made by running")
        contexts.append(pack(folder))
    assert contexts[0] == contexts[1]
    (tmp_path / "one" / "f").chmod(0o755)
    assert pack(tmp_path / "one") != contexts[0]


def test_what_is_ignored_stays_out_of_the_context(tmp_path: Path) -> None:
    for name in ("Dockerfile", "secret"):
        (tmp_path / name).write_text("FROM scratch\n")
    (tmp_path / ".dockerignore").write_text("secret\n")
    assert b"secret\0" not in pack(tmp_path)


def test_all_images_are_saved_by_one_call_and_the_file_is_whole_or_not_there(tmp_path: Path) -> None:
    docker = FakeDocker(tags={"a:v1": "1", "b:v1": "2"})
    builds.save(Engine(docker), ["a:v1", "b:v1"], tmp_path / "all.tar")
    assert (tmp_path / "all.tar").read_bytes() == b"archive"
    assert docker.asked == [("http+docker://localhost/v1.41/images/get", ["a:v1", "b:v1"])]
    with pytest.raises(ClusterError, match="images c:v1 are not there; build them"):
        builds.save(Engine(docker), ["a:v1", "c:v1"], tmp_path / "more.tar")
    with pytest.raises(InputError, match="No such file or directory; name a file that you can write"):
        builds.save(Engine(docker), ["a:v1"], tmp_path / "nowhere" / "all.tar")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.tar"]


def test_an_archive_is_known_by_its_names_and_anything_else_is_refused(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.tar", tmp_path / "bad.tar"
    good.write_bytes(archive("a:v1", "b:v1"))
    bad.write_text("no archive")
    assert Engine(FakeDocker()).load(good) == ["a:v1", "b:v1"]
    with pytest.raises(InputError, match="no archive of images; make one with hotupgrade images save"):
        names_in(bad)
    with pytest.raises(InputError, match="No such file"):
        names_in(tmp_path / "none.tar")


def test_an_image_gets_another_name() -> None:
    docker = FakeDocker(tags={"localhost:5000/a:v1": "1"})
    Engine(docker).tag("localhost:5000/a:v1", "localhost:5000/a:v1-b")
    assert docker.tags["localhost:5000/a:v1-b"] == "1"


def test_an_engine_is_asked_only_for_what_no_archive_holds(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.tar"
    bundle.write_bytes(archive("sidecar:v1"))

    def no_engine() -> Engine:
        raise ClusterError("no Docker engine answers")

    without = Archives(no_engine)
    without.check(["docker.io/library/sidecar:v1"], [bundle])
    assert without.write(["sidecar:v1"], [bundle], tmp_path / "own.tar") is None
    with pytest.raises(ClusterError, match="no Docker engine"):
        without.check(["sidecar:v1", "app:v1"], [bundle])
    docker = FakeDocker(tags={"app:v1": "1"})
    having = Archives(lambda: Engine(docker))
    assert having.write(["sidecar:v1", "app:v1"], [bundle], tmp_path / "own.tar") == tmp_path / "own.tar"
    assert docker.asked[0][1] == ["app:v1"]
    with pytest.raises(
        InputError,
        match="images other:v1 are neither in an --image-archive nor in the Docker engine, and cannot",
    ):
        having.check(["other:v1", "app:v1"], [bundle])


def test_buildx_gets_each_image_with_those_that_it_is_made_from_as_contexts(three: Catalogue) -> None:
    made = bake(
        three,
        three.refs(),
        registry="r.example/mesh",
        platforms=["linux/arm64"],
        arguments={},
        labels={"l": "1"},
    )
    target = made["target"]["b-v1"]
    assert target["tags"] == ["r.example/mesh/b:v1"]
    assert target["contexts"] == {"runtime": "target:runtime-latest", "c:v1": "target:c-v1"}
    assert target["platforms"] == ["linux/arm64"]
    assert target["attest"] == ["type=provenance,disabled=true"]
    assert made["group"]["default"]["targets"] == ["a-v1", "b-v1", "c-v1", "runtime-latest"]


def test_the_projects_own_images_can_be_built_in_some_order() -> None:
    own = catalogue([OWN])
    docker = FakeDocker()
    built = [image.ref for image in build(Engine(docker), own, own.refs(), PLAIN)]
    assert built.index("runtime-sidecar:latest") < built.index("sidecar:base") < built.index("sidecar:v1")
    assert sorted(built) == own.refs()


def test_an_image_that_is_missing_is_pulled() -> None:
    docker = FakeDocker(registry={"team/proxy:v1"})
    Archives(lambda: Engine(docker)).check(["team/proxy:v1"], [])
    assert docker.tags == {"team/proxy:v1": "pulled"}


def test_the_size_over_the_base_is_told_where_the_engine_has_the_base() -> None:
    label = {"org.opencontainers.image.base.name": "mirror/python:3.12"}
    docker = FakeDocker(
        tags={"a:v1": "1", "b:v1": "2", "mirror/python:3.12": "3"},
        sizes={"a:v1": 1500, "mirror/python:3.12": 1200},
        labels={"a:v1": label},
    )
    engine = Engine(docker)
    a, b = engine.find("a:v1"), engine.find("b:v1")
    assert a is not None
    assert b is not None
    assert (engine.over_base(a), engine.over_base(b)) == (300, None)
    del docker.tags["mirror/python:3.12"]
    assert engine.over_base(a) is None


@pytest.mark.parametrize("ref", ["runtime:latest", "runtime-sidecar:latest"])
def test_a_base_says_what_it_is_made_from(ref: str) -> None:
    base = catalogue([OWN]).find(ref)
    assert base is not None
    assert base.config.labels["org.opencontainers.image.base.name"] == "python:3.11-slim"


def test_no_image_runs_as_root_nor_in_its_group() -> None:
    own = catalogue([OWN])
    users = {ref: found.config.user for ref in own.refs() if (found := own.find(ref))}
    assert set(users.values()) == {"65532:65532"}, users


def test_every_image_has_a_title_a_description_and_a_licence() -> None:
    own = catalogue([OWN])
    labels = {ref: found.config.labels for ref in own.refs() if (found := own.find(ref))}
    needed = {f"org.opencontainers.image.{name}" for name in ("title", "description")}
    assert [ref for ref, given in labels.items() if not needed <= set(given)] == []
    assert {given.get("org.opencontainers.image.licenses") for given in labels.values()} == {"Apache-2.0"}
    tagged = {ref: given.get("org.opencontainers.image.version") for ref, given in labels.items()}
    assert tagged["sidecar:v1"] == "v1"
    assert tagged["sidecar:v2"] == "v2"


def test_the_revision_is_the_commit_of_an_unchanged_checkout(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert builds.labels(tmp_path) == {}
    git("init", "--quiet")
    (tmp_path / "f").write_text("f")
    git("add", "f")
    git("commit", "--quiet", "--message", "f")
    assert builds.labels(tmp_path) == {"org.opencontainers.image.revision": git("rev-parse", "HEAD")}
    (tmp_path / "f").write_text("changed")
    assert builds.labels(tmp_path) == {}
