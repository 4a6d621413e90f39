"""The agent is restarted as a kubelet is: what runs goes on, and what happened meanwhile is made up for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from harness.embedded.agent.service import AWAY_S
from harness.embedded.events import unix
from harness.embedded.seams import CONFIGMAPS, NODES, PODS, ApiError, LogOptions, Object, Resource
from tests.embedded.agent.rig import Rig, container, hook, running
from tests.embedded.agent.test_worker import takes
from tests.embedded.fakes import EPOCH, Program

pytestmark = pytest.mark.looptime

READINESS: Object = {"readinessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 1}}


@asynccontextmanager
async def away(rig: Rig) -> AsyncIterator[None]:
    """In here there is no agent; afterwards the next one is at work."""
    restart = asyncio.create_task(rig.agent.restart())
    await asyncio.sleep(AWAY_S / 2)
    yield
    assert not restart.done()
    await restart


async def test_what_runs_is_neither_touched_nor_shown_otherwise(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"), container("b"))
        await rig.until_ready()
        await rig.set_image("b", "app:v2")
        await rig.until(lambda: len(rig.runtime.started) == 3, "b started again")
        await asyncio.sleep(5)
        before, did = (await rig.pod())["status"], list(rig.runtime.did)
        await rig.agent.restart()
        await asyncio.sleep(5)
        assert (await rig.pod())["status"] == before
        assert rig.runtime.did == did


async def test_a_restart_is_over_when_the_next_agent_has_seen_the_pods(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"))
        await rig.until_ready()
        begun = rig.now
        await asyncio.gather(rig.agent.restart(), rig.agent.restart())
        assert rig.now - begun == pytest.approx(AWAY_S, abs=0.1)
        await rig.set_image("a", "app:v2")
        assert await rig.until(lambda: len(rig.runtime.started) == 2, "acted on") < 0.1


async def test_a_hook_under_way_is_not_run_again_and_its_container_counts_as_started(tmp_path: Path) -> None:
    async with running(tmp_path, {"app:v2": takes(60)}) as rig:
        await rig.create(container("a", **hook("x")), container("b"))
        await rig.until_ready()
        await rig.set_image("a", "app:v2")
        await asyncio.sleep(5)
        await rig.agent.restart()
        await rig.until(lambda: rig.shown("a")[-1] == ("running", "", 1, True), "started", within=1)
        await asyncio.sleep(100)
        assert rig.did("start a", "exec a") == ["start a app:v1", "exec a x", "start a app:v2", "exec a x"]
        assert rig.shown("a")[-1] == ("running", "", 1, True)
        assert unix((await rig.status("a"))["state"]["running"]["startedAt"]) - EPOCH < 1


async def test_containers_that_a_hook_held_back_start_after_the_restart(tmp_path: Path) -> None:
    async with running(tmp_path, {"app:v1": takes(60)}) as rig:
        await rig.create(container("a", **hook("x")), container("b"))
        await asyncio.sleep(5)
        await rig.agent.restart()
        assert await rig.until_ready() < 0.1
        assert rig.did("start") == ["start a app:v1", "start b app:v1"]


async def test_an_exit_in_between_is_noticed(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"), container("b"))
        await rig.until_ready()
        async with away(rig):
            rig.runtime.kill("a", 3)
            await asyncio.sleep(AWAY_S / 4)
            assert rig.shown("a")[-1] == ("running", "", 0, True)
        await rig.until(lambda: rig.shown("a")[-1] == ("running", "", 1, True), "restart seen")
        assert (await rig.status("a"))["lastState"]["terminated"]["exitCode"] == 3
        assert (await rig.status("b"))["restartCount"] == 0


async def test_an_image_changed_in_between_is_acted_on(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"), container("b"))
        await rig.until_ready()
        async with away(rig):
            await rig.set_image("a", "app:v2")
        await rig.until(lambda: rig.shown("a")[-1][2] == 1, "restart seen")
        assert rig.did("start", "signal") == [
            "start a app:v1",
            "start b app:v1",
            "signal a 15",
            "start a app:v2",
        ]


async def test_a_pod_removed_in_between_is_taken_down(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"))
        await rig.until_ready()
        async with away(rig):
            await rig.api.delete(PODS, "pod", "default", grace_s=0)
        await rig.until(lambda: not rig.runtime.sandboxes, "taken down", within=1)
        assert rig.runtime.processes == {}
        assert os.listdir(tmp_path) == []


async def test_a_removal_that_was_under_way_is_finished(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"))
        await rig.until_ready()
        await rig.api.delete(PODS, "pod", "default", grace_s=0)
        await rig.agent.restart()
        await rig.until(lambda: not rig.runtime.sandboxes, "taken down", within=1)
        assert os.listdir(tmp_path) == []


async def test_a_pod_whose_deletion_began_in_between_ends_gracefully(tmp_path: Path) -> None:
    async with running(tmp_path, {"app:v1": Program(after_term=2)}) as rig:
        await rig.create(container("a"))
        await rig.until_ready()
        async with away(rig):
            await rig.api.delete(PODS, "pod", "default")
        assert await rig.until(rig.gone, "pod gone") == pytest.approx(2, abs=0.1)
        assert rig.did("signal") == ["signal a 15"]


async def test_a_deletion_under_way_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path, {"app:v1": Program(after_term=10)}) as rig:
        await rig.create(container("a"))
        await rig.until_ready()
        begun = rig.now
        await rig.api.delete(PODS, "pod", "default")
        await asyncio.sleep(3)
        await rig.agent.restart()
        await rig.until(rig.gone, "pod gone")
        assert rig.now - begun == pytest.approx(10, abs=0.2)
        assert rig.did("signal") == ["signal a 15"] * 2
        assert os.listdir(tmp_path) == []


async def test_a_replacement_under_way_goes_on_and_counts_once(tmp_path: Path) -> None:
    async with running(tmp_path, {"app:v1": Program(after_term=5)}) as rig:
        await rig.create(container("a"))
        await rig.until_ready()
        await rig.set_image("a", "app:v2")
        await asyncio.sleep(2)
        await rig.agent.restart()
        await rig.until(lambda: rig.shown("a")[-1] == ("running", "", 1, True), "replaced")
        assert rig.did("start", "end") == ["start a app:v1", "end a 0", "start a app:v2"]


async def test_a_start_under_way_is_undone_and_made_again(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"))
        await rig.until(lambda: bool(rig.runtime.started), "begun")
        assert rig.runtime.processes == {}
        await rig.agent.restart()
        await rig.until_ready()
        status = await rig.status("a")
        assert status["restartCount"] == 1
        assert status["lastState"]["terminated"]["reason"] == "StartError"
        assert len(rig.runtime.processes) == 1


@pytest.mark.parametrize("grace", [0, 30])
async def test_of_pods_that_are_gone_nothing_is_kept(tmp_path: Path, grace: int) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"))
        await rig.until_ready()
        assert len(rig.records.uids()) == 1
        await rig.api.delete(PODS, "pod", "default", grace_s=grace)
        await rig.until(lambda: rig.records.uids() == set(), "forgotten", within=1)


async def test_a_pod_made_in_between_is_started(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.until(lambda: NODES in {resource for _, resource, _ in rig.api.history}, "agent up")
        async with away(rig):
            await rig.create(container("a"))
        assert await rig.until_ready() < 0.1


async def test_probes_begin_anew(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        rig.network.answers["10.0.0.2:80"] = 0
        await rig.create(container("a", **READINESS))
        await rig.until_ready()
        rig.network.answers.clear()
        await rig.agent.restart()
        await rig.until(lambda: rig.shown("a")[-1] == ("running", "", 0, False), "not known to be ready")
        rig.network.answers["10.0.0.2:80"] = 0
        assert await rig.until_ready() <= 1.1
        assert rig.did("start") == ["start a app:v1"]


async def test_nothing_is_probed_while_no_agent_is_there(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        probe: Object = {"readinessProbe": {"exec": {"command": ["look"]}, "periodSeconds": 1}}
        await rig.create(container("a", **probe))
        await rig.until_ready()
        await asyncio.sleep(3.5)
        before = len(rig.runtime.did)
        async with away(rig):
            await asyncio.sleep(AWAY_S / 2 - 0.01)
            assert rig.runtime.did[before:] == []
        await asyncio.sleep(0.1)
        assert [text for _, text in rig.runtime.did[before:]] == ["exec a look"]


async def test_what_the_agent_had_in_its_head_is_gone(tmp_path: Path) -> None:
    """A kubelet's back-off does not outlive it, nor does why a container waited."""
    async with running(tmp_path, {"app:v1": Program(runs=1, code=3)}) as rig:
        await rig.create(container("a"))
        await asyncio.sleep(15)
        assert await rig.state("a") == ("waiting", "CrashLoopBackOff")
        starts, shown = len(rig.runtime.started), len(rig.shown("a"))
        await rig.agent.restart()
        await rig.until(lambda: len(rig.runtime.started) > starts, "started without a delay", within=0.1)
        assert rig.shown("a")[shown][:2] == ("terminated", "Error")


async def test_a_pod_that_is_over_stays_so(tmp_path: Path) -> None:
    async with running(tmp_path, {"app:v1": Program(runs=1)}) as rig:
        await rig.create(container("a"), restartPolicy="Never")
        await asyncio.sleep(5)
        before = (await rig.pod())["status"]
        await rig.agent.restart()
        await asyncio.sleep(5)
        assert (await rig.pod())["status"] == before
        assert rig.did("start", "sandbox") == ["sandbox pod", "start a app:v1", "sandbox removed"]


async def test_files_of_objects_change_again_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.api.create(CONFIGMAPS, {"metadata": {"name": "cm"}, "data": {"k": "1"}}, "default")
        pod = await rig.create(container("a"), volumes=[{"name": "v", "configMap": {"name": "cm"}}])
        file = tmp_path / pod["metadata"]["uid"] / "volumes" / "v" / "k"
        await rig.until_ready()
        for number in range(2, 5):
            async with away(rig):
                await rig.api.patch(CONFIGMAPS, "cm", {"data": {"k": str(number)}}, "default")
            await rig.until(lambda n=number: file.read_text() == str(n), "new content", within=1)  # type: ignore[misc]
            assert (await rig.pod())["status"]["phase"] == "Running"


async def test_without_an_agent_nobody_answers_for_its_containers(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"))
        await rig.until_ready()
        async with away(rig):
            with pytest.raises(ApiError, match="being started"):
                rig.agent.logs("default", "pod", "a", LogOptions())
            with pytest.raises(ApiError, match="being started"):
                await rig.agent.exec("default", "pod", "a", ["true"], stdin=False, tty=False)
        session = await rig.agent.exec("default", "pod", "a", ["true"], stdin=False, tty=False)
        assert await session.wait() == 0


async def test_a_former_containers_log_is_there_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"))
        await rig.until_ready()
        rig.runtime.started[0].log.write_text("2027-01-15T08:00:00.1Z stdout F last words\n")
        rig.runtime.kill("a")
        await rig.until(lambda: rig.shown("a")[-1][2] == 1, "restart seen")
        await rig.agent.restart()
        chunks = rig.agent.logs("default", "pod", "a", LogOptions(previous=True))
        assert b"".join([chunk async for chunk in chunks]) == b"last words\n"


async def test_a_restart_leaves_no_task_behind(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with running(tmp_path, {"app:v1": takes(60)}) as rig:
        await rig.create(container("a", **hook("x"), **READINESS), container("b"))
        await asyncio.sleep(3)
        async with away(rig):
            assert len(asyncio.all_tasks() - before) == 2  # the service, and who asked for the restart
    assert asyncio.all_tasks() == before


async def test_events_are_told_by_the_next_agent_too(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"))
        await rig.until_ready()
        await rig.agent.restart()
        await rig.set_image("a", "app:v2")
        await rig.until(lambda: len(rig.runtime.started) == 2, "acted on")
        assert len(await rig.events("Killing")) == 1


async def test_an_agent_that_fails_is_not_started_again(tmp_path: Path) -> None:
    """An error is a defect, and has to be seen."""
    rig = Rig(tmp_path, {}, backoff=False)

    def refuse(verb: str, resource: Resource, body: Object) -> ApiError | None:
        return ApiError(500, "InternalError", "broken") if resource == NODES else None

    rig.api.refuse = refuse
    with pytest.raises(ApiError, match="broken"):
        await rig.agent.run()
