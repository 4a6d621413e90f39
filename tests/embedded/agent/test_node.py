"""Logs and exec of the node's containers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from harness.embedded.seams import ApiError, LogOptions
from tests.embedded.agent.rig import Rig, container, running
from tests.embedded.fakes import Program

pytestmark = pytest.mark.looptime


def write(path: Path, *texts: str, second: int = 0) -> None:
    with path.open("a") as file:
        for text in texts:
            file.write(f"2027-01-15T08:00:{second:02}.123456789Z stdout F {text}\n")


async def read(rig: Rig, container: str = "a", **options: object) -> bytes:
    chunks = rig.agent.logs("default", "pod", container, LogOptions(**options))  # type: ignore[arg-type]
    return b"".join([chunk async for chunk in chunks])


async def test_logs_come_without_what_the_machine_put_in_front(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"))
        await rig.until_ready()
        write(rig.runtime.started[0].log, "one", "two words")
        assert await read(rig) == b"one\ntwo words\n"
        assert await read(rig, timestamps=True, tail_lines=1) == b"2027-01-15T08:00:00.123456789Z two words\n"
        assert await read(rig, tail_lines=0) == b""
        assert await read(rig, limit_bytes=2) == b"on"


async def test_logs_since_a_time(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"))
        await rig.until_ready()
        write(rig.runtime.started[0].log, "early")
        write(rig.runtime.started[0].log, "late", second=30)
        assert await read(rig, since_time="2027-01-15T08:00:10Z") == b"late\n"


async def test_a_log_that_was_moved_away_is_read_first(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"))
        await rig.until_ready()
        log = rig.runtime.started[0].log
        write(log, "one")
        log.rename(log.with_name(log.name + ".1"))
        write(log, "two")
        assert await read(rig) == b"one\ntwo\n"


async def test_following_goes_over_a_move_and_ends_with_the_container(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"), restartPolicy="Never")
        await rig.until_ready()
        log = rig.runtime.started[0].log
        write(log, "one")
        reader = asyncio.create_task(read(rig, follow=True))
        await asyncio.sleep(1)
        write(log, "two")
        log.rename(log.with_name(log.name + ".1"))
        write(log, "three")
        await asyncio.sleep(1)
        write(log, "four")
        rig.runtime.kill("a")
        assert await asyncio.wait_for(reader, 5) == b"one\ntwo\nthree\nfour\n"


async def test_previous_is_the_container_before(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"))
        await rig.until_ready()
        with pytest.raises(ApiError, match='previous terminated container "a" in pod "pod" not found'):
            await read(rig, previous=True)
        for number, image in enumerate(("app:v2", "app:v1")):
            write(rig.runtime.started[number].log, f"start {number}")
            await rig.set_image("a", image)
            await rig.until(lambda n=number: len(rig.runtime.started) == n + 2, "started again")  # type: ignore[misc]
        assert await read(rig, previous=True) == b"start 1\n"
        assert not rig.runtime.started[0].log.exists()


async def test_who_is_not_there_has_no_logs(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a", "none:v1"))
        await rig.until_state("a", "waiting", "ErrImagePull")
        with pytest.raises(ApiError, match="is waiting to start: ErrImagePull") as refused:
            await read(rig)
        assert refused.value.code == 400
        with pytest.raises(ApiError, match="container b is not valid for pod pod"):
            await read(rig, "b")
        with pytest.raises(ApiError) as missing:
            await rig.agent.exec("default", "other", "a", ["true"], stdin=False, tty=False)
        assert missing.value.code == 404


async def test_a_command_runs_in_the_container_that_is_there_now(tmp_path: Path) -> None:
    async with running(tmp_path, {"app:v1": Program(commands=lambda spec, command: (1.0, 3, "out"))}) as rig:
        await rig.create(container("a"))
        await rig.until_ready()
        session = await rig.agent.exec("default", "pod", "a", ["x", "y"], stdin=False, tty=False)
        assert await session.read() == ("stdout", b"out")
        assert await session.wait() == 3
        assert rig.did("exec") == ["exec a x y"]


async def test_no_command_runs_in_a_container_that_has_ended(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"), restartPolicy="Never")
        await rig.until_ready()
        rig.runtime.kill("a")
        await asyncio.sleep(1)
        with pytest.raises(ApiError, match="is not running"):
            await rig.agent.exec("default", "pod", "a", ["true"], stdin=False, tty=False)
