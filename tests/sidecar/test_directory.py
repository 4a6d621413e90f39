"""The shared directory: whom it is for, and paths that outlive their processes."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from sidecar.errors import LocalHandoverError
from sidecar.handover import directory

pytestmark = pytest.mark.integration


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)  # a unix path has to be short, and relative ones are
    directory.ensure("dir")
    return "dir"


@pytest.mark.trap(11)
def test_the_directory_is_made_for_this_user_alone(where: str) -> None:
    assert os.stat(where).st_mode & 0o777 == 0o700
    directory.ensure(where)


@pytest.mark.case(13)
@pytest.mark.parametrize("mode", [0o701, 0o770, 0o777, 0o1777])
def test_a_directory_that_others_could_use_is_refused(where: str, mode: int) -> None:
    os.chmod(where, mode)
    with pytest.raises(LocalHandoverError, match="chmod 700"):
        directory.ensure(where)


@pytest.mark.case(13, 14)
@pytest.mark.trap(12)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(where: str) -> None:
    os.chown(where, 12345, 12345)
    with pytest.raises(LocalHandoverError, match="uid 12345"):
        directory.ensure(where)


@pytest.mark.case(12, 14)
def test_a_link_or_a_file_in_its_place_is_refused(where: str) -> None:
    os.symlink(where, "link")
    Path("file").touch()
    for name in ("link", "file"):
        with pytest.raises(LocalHandoverError, match="no directory"):
            directory.ensure(name)
    with pytest.raises(LocalHandoverError, match="cannot be made"):
        directory.ensure("missing/dir")


@pytest.mark.case(12)
def test_a_process_replaces_the_path_of_its_own_generation_and_it_is_live_at_once(where: str) -> None:
    with directory.listen(where, "7"):
        pass  # ended without removing its path
    assert directory.connect(directory.path_of(where, "7"), 1) is None
    with directory.listen(where, "7"):
        found = directory.connect(directory.path_of(where, "7"), 1)
        assert found is not None
        found.close()
        assert os.listdir(where) == ["7.sock"]


@pytest.mark.case(12)
def test_an_ending_process_leaves_the_path_of_its_replacement_alone(where: str) -> None:
    path = directory.path_of(where, "7")
    with directory.listen(where, "7"):
        first = os.stat(path).st_ino
        with directory.listen(where, "7"):
            directory.remove(where, "7", first)
            assert os.path.exists(path)
            directory.remove(where, "7", os.stat(path).st_ino)
            assert not os.path.exists(path)


@pytest.mark.case(12)
def test_sweeping_removes_the_dead_and_spares_the_living(where: str) -> None:
    for use in (directory.CONTROL, directory.ADMIN):
        directory.listen(where, "1", use).close()
    with (
        directory.listen(where, "5"),
        directory.listen(where, "9"),
        directory.listen(where, "5", directory.ADMIN),
    ):
        directory.sweep(where, "9")
        assert sorted(os.listdir(where)) == ["5.admin", "5.sock", "9.sock"]


def test_the_named_generation_is_asked_first_then_the_newest(where: str) -> None:
    for generation in ("unset", "9", "10", "100", "12"):
        directory.listen(where, generation).close()
    paths = directory.others(where, "12", first="9")
    assert [Path(path).stem for path in paths] == ["9", "100", "10", "unset"]


def test_a_peer_of_this_user_is_known_by_its_uid() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        assert directory.same_user(ours)
