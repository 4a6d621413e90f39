"""Probes as a pod's status and restarts show them, on virtual time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from harness.embedded.seams import PODS, ContainerSpec
from tests.embedded.agent.rig import container, hook, running
from tests.embedded.fakes import Program

pytestmark = pytest.mark.looptime

ADDRESS = "http://10.0.0.2:8080/ready"
HTTP = {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1}
EXEC = {"exec": {"command": ["check"]}, "periodSeconds": 1}


async def test_readiness_follows_the_probe_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a", readinessProbe=HTTP), container("b"))
        await asyncio.sleep(2.5)
        assert await rig.state("a") == ("running", "")
        assert (await rig.condition("Ready"))["message"] == "containers with unready status: [a]"
        rig.network.answers[ADDRESS] = 200
        assert await rig.until_ready() < 1.1
        rig.network.answers[ADDRESS] = 503
        await asyncio.sleep(2.2)
        assert await rig.ready()
        await asyncio.sleep(1)
        assert not await rig.ready()
        told = await rig.events("Unhealthy")
        assert (
            "Unhealthy spec.containers{a}: Readiness probe failed: HTTP probe failed with statuscode: 503"
            in told
        )
        assert (await rig.status("a"))["restartCount"] == 0


async def test_a_named_port_and_an_initial_delay_are_respected(tmp_path: Path) -> None:
    probe = {"tcpSocket": {"port": "web"}, "initialDelaySeconds": 5}
    async with running(tmp_path) as rig:
        rig.network.answers["10.0.0.2:8080"] = 0
        await rig.create(container("a", readinessProbe=probe, ports=[{"name": "web", "containerPort": 8080}]))
        await rig.until_ready()
        assert rig.now == pytest.approx(5, abs=0.1)


async def test_a_liveness_probe_that_fails_three_times_restarts_the_container(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        rig.network.answers[ADDRESS] = 200
        await rig.create(container("a", livenessProbe=HTTP))
        await rig.until_ready()
        rig.network.answers[ADDRESS] = 500
        begun = rig.now
        await rig.until(lambda: len(rig.did("start a")) == 2, "started again")
        assert 2 <= rig.now - begun <= 3.5
        assert (
            "Killing spec.containers{a}: Container a failed liveness probe, will be restarted"
            in await rig.events()
        )
        assert rig.did("signal") == ["signal a 15"]


async def test_a_probe_may_shorten_the_grace_period(tmp_path: Path) -> None:
    probe = {**HTTP, "failureThreshold": 1, "terminationGracePeriodSeconds": 1}
    async with running(tmp_path, {"app:v1": Program(after_term=None)}) as rig:
        await rig.create(container("a", livenessProbe=probe))
        await rig.until(lambda: rig.did("end a"), "ended")
        assert rig.did("signal") == ["signal a 15", "signal a 9"]
        assert rig.now < 2


async def test_other_probes_wait_for_the_startup_probe(tmp_path: Path) -> None:
    startup = {"tcpSocket": {"port": 1}, "periodSeconds": 1, "failureThreshold": 30}
    async with running(tmp_path) as rig:
        rig.network.answers[ADDRESS] = 200
        await rig.create(container("a", startupProbe=startup, livenessProbe=HTTP, readinessProbe=HTTP))
        await asyncio.sleep(5)
        assert ADDRESS not in rig.network.asked
        status = await rig.status("a")
        assert (status["started"], status["ready"]) == (False, False)
        rig.network.answers["10.0.0.2:1"] = 0
        assert await rig.until_ready() < 1.2
        assert (await rig.status("a"))["started"] is True


async def test_a_startup_probe_that_gives_up_restarts_the_container(tmp_path: Path) -> None:
    startup = {"tcpSocket": {"port": 1}, "periodSeconds": 1, "failureThreshold": 4}
    async with running(tmp_path) as rig:
        await rig.create(container("a", startupProbe=startup))
        await rig.until(lambda: len(rig.did("start a")) == 2, "started again")
        assert 3 <= rig.now <= 4
        assert (
            "Killing spec.containers{a}: Container a failed startup probe, will be restarted"
            in await rig.events()
        )


async def test_a_probe_that_takes_too_long_has_failed(tmp_path: Path) -> None:
    slow = Program(commands=lambda spec, command: (5.0, 0, ""))
    async with running(tmp_path, {"app:v1": slow}) as rig:
        await rig.create(container("a", readinessProbe=EXEC))
        await asyncio.sleep(3)
        assert not await rig.ready()
        (told,) = await rig.events("Unhealthy")
        assert told.endswith('Readiness probe failed: command timed out: "check" timed out after 1s')


async def test_a_new_container_is_not_ready_before_its_own_probe_says_so(tmp_path: Path) -> None:
    def check(spec: ContainerSpec, command: list[str]) -> tuple[float, int, str]:
        return 0.0, 1 if spec.image.ref == "app:v2" else 0, "no"

    async with running(
        tmp_path, {"app:v1": Program(commands=check), "app:v2": Program(commands=check)}
    ) as rig:
        await rig.create(container("a", readinessProbe=EXEC), container("b"))
        await rig.until_ready()
        await rig.set_image("a", "app:v2")
        await asyncio.sleep(3)
        assert rig.shown("a")[-2:] == [("running", "", 0, True), ("running", "", 1, False)]
        await rig.set_image("a", "app:v1")
        await rig.until_ready()
        assert (await rig.status("a"))["restartCount"] == 2


async def test_readiness_of_another_container_is_told_during_a_hook(tmp_path: Path) -> None:
    async with running(tmp_path, {"app:v2": Program(commands=lambda spec, command: (20.0, 0, ""))}) as rig:
        rig.network.answers[ADDRESS] = 200
        await rig.create(container("a", **hook("x")), container("b", readinessProbe=HTTP))
        await rig.until_ready()
        before = await rig.status("a")
        await rig.set_image("a", "app:v2")
        await asyncio.sleep(1)
        rig.network.answers[ADDRESS] = 500
        await asyncio.sleep(4)
        assert not (await rig.status("b"))["ready"]
        assert await rig.status("a") == before


async def test_liveness_does_not_matter_to_a_pod_that_is_going(tmp_path: Path) -> None:
    async with running(tmp_path, {"app:v1": Program(after_term=20)}) as rig:
        rig.network.answers[ADDRESS] = 200
        await rig.create(container("a", livenessProbe=HTTP, readinessProbe=HTTP))
        await rig.until_ready()
        await rig.api.delete(PODS, "pod", "default")
        rig.network.answers.clear()
        await asyncio.sleep(10)
        assert not await rig.ready()
        assert [text for text in await rig.events("Unhealthy") if "Liveness" in text] == []
        await rig.until(rig.gone, "pod gone")
        assert rig.did("start") == ["start a app:v1"]


async def test_a_grpc_probe_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a", readinessProbe={"grpc": {"port": 1}}))
        await asyncio.sleep(1)
        assert rig.runtime.started == []
        assert [text for text in await rig.events("Unsupported") if "readinessProbe.grpc" in text]
