"""Pods on a node, on virtual time."""

from __future__ import annotations

import asyncio
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from harness.embedded.events import unix
from harness.embedded.seams import CONFIGMAPS, PODS, ContainerSpec, Object
from tests.embedded.agent.rig import container, hook, running
from tests.embedded.fakes import EPOCH, Program

pytestmark = pytest.mark.looptime


def takes(duration: float, code: int = 0) -> Program:
    """A program whose every command takes that long."""
    return Program(commands=lambda spec, command: (duration, code, ""))


async def test_a_pod_becomes_ready_without_a_wait(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"), container("b"))
        assert await rig.until_ready() < 0.1
        pod = await rig.pod()
        assert pod["status"]["phase"] == "Running"
        assert pod["status"]["podIP"] == "10.0.0.2"
        assert pod["status"]["hostIP"] == "10.0.0.1"
        assert pod["status"]["qosClass"] == "BestEffort"
        assert {c["type"]: c["status"] for c in pod["status"]["conditions"]} == {
            "PodReadyToStartContainers": "True",
            "Initialized": "True",
            "Ready": "True",
            "ContainersReady": "True",
            "PodScheduled": "True",
        }
        status = pod["status"]["containerStatuses"][0]
        assert status["image"] == "docker.io/library/app:v1"
        assert status["imageID"].startswith("docker.io/library/app@sha256:")
        assert (status["ready"], status["started"], status["restartCount"]) == (True, True, 0)
        assert await rig.events("Created") == [
            "Created spec.containers{a}: Created container: a",
            "Created spec.containers{b}: Created container: b",
        ]


async def test_what_is_seen_of_a_new_pod_is_waiting_then_all_containers_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, {"app:v1": takes(2)}) as rig:
        await rig.create(container("a", **hook("slow")), container("b"))
        await rig.until_ready()
        for name in ("a", "b"):
            assert rig.shown(name) == [("waiting", "ContainerCreating", 0, False), ("running", "", 0, True)]


async def test_a_post_start_hook_holds_back_the_next_container(tmp_path: Path) -> None:
    async with running(tmp_path, {"app:v1": takes(5)}) as rig:
        await rig.create(container("a", **hook("slow")), container("b"))
        await rig.until_ready()
        begun = {text: at for at, text in rig.runtime.did}
        assert begun["start b app:v1"] - begun["start a app:v1"] == pytest.approx(5, abs=0.2)


async def test_an_image_change_replaces_only_that_container(tmp_path: Path) -> None:
    async with running(tmp_path, {"app:v1": Program(after_term=1.0)}) as rig:
        await rig.create(container("a"), container("b"))
        await rig.until_ready()
        other = await rig.status("a")
        await rig.set_image("b", "app:v2")
        await rig.until(lambda: len(rig.runtime.started) == 3, "b started again")
        await asyncio.sleep(1)
        assert await rig.status("a") == other
        status = await rig.status("b")
        assert (status["image"], status["restartCount"]) == ("docker.io/library/app:v2", 1)
        assert status["lastState"]["terminated"]["exitCode"] == 0
        assert await rig.events("Killing") == [
            "Killing spec.containers{b}: Container b definition changed, will be restarted"
        ]
        assert rig.shown("b") == [
            ("waiting", "ContainerCreating", 0, False),
            ("running", "", 0, True),
            ("running", "", 1, True),
        ]


async def test_nothing_is_seen_of_a_replaced_container_until_its_hook_has_returned(tmp_path: Path) -> None:
    async with running(tmp_path, {"app:v2": takes(5)}) as rig:
        await rig.create(container("a", **hook("x")), container("b"))
        await rig.until_ready()
        before = await rig.status("a")
        await rig.set_image("a", "app:v2")
        await asyncio.sleep(4)
        assert rig.did("start a") == ["start a app:v1", "start a app:v2"]
        assert await rig.status("a") == before
        assert await rig.ready()
        started = rig.runtime.did[-1][0]
        await rig.until(lambda: rig.shown("a")[-1][2] == 1, "restart seen")
        assert rig.now == pytest.approx(started + 5, abs=0.2)
        assert unix((await rig.status("a"))["state"]["running"]["startedAt"]) - EPOCH <= started


async def test_a_hook_hides_the_end_of_another_container(tmp_path: Path) -> None:
    async with running(tmp_path, {"app:v2": takes(10)}) as rig:
        await rig.create(container("a", **hook("x")), container("b"))
        await rig.until_ready()
        await rig.set_image("a", "app:v2")
        await asyncio.sleep(1)
        rig.runtime.kill("b", 1)
        await asyncio.sleep(5)
        assert await rig.ready()
        await rig.until(lambda: rig.did("start b") == ["start b app:v1"] * 2, "b started again")
        assert rig.now == pytest.approx(10, abs=0.5)


async def test_a_hook_holds_up_the_deletion(tmp_path: Path) -> None:
    async with running(tmp_path, {"app:v2": takes(20)}) as rig:
        await rig.create(container("a", **hook("x")), terminationGracePeriodSeconds=5)
        await rig.until_ready()
        await rig.set_image("a", "app:v2")
        await asyncio.sleep(1)
        begun = rig.now
        await rig.api.delete(PODS, "pod", "default")
        await rig.until(rig.gone, "pod gone")
        assert rig.now - begun == pytest.approx(19, abs=0.5)


async def test_a_failing_hook_ends_the_container_and_backs_off(tmp_path: Path) -> None:
    async with running(tmp_path, {"app:v2": takes(0, 7)}) as rig:
        await rig.create(container("a", **hook("x")), container("b"))
        await rig.until_ready()
        await rig.set_image("a", "app:v2")
        await rig.until_state("a", "waiting", "PostStartHookError")
        assert (await rig.status("a"))["restartCount"] == 1
        assert not await rig.ready()
        await rig.until_state("a", "waiting", "CrashLoopBackOff")
        assert (await rig.status("a"))["restartCount"] == 2
        assert rig.now == pytest.approx(2, abs=0.5)
        await asyncio.sleep(10)
        status = await rig.status("a")
        assert (status["restartCount"], status["lastState"]["terminated"]["exitCode"]) == (3, 0)
        told = await rig.events()
        assert "FailedPostStartHook spec.containers{a}: PostStartHook failed" in told
        assert "Killing spec.containers{a}: FailedPostStartHook" in told
        assert any(
            text.startswith("BackOff spec.containers{a}: Back-off restarting failed container a")
            for text in told
        )
        assert (await rig.state("b"))[0] == "running"


async def test_the_environment_is_evaluated_anew_and_belongs_to_the_same_version_of_the_pod(
    tmp_path: Path,
) -> None:
    env = [
        {"name": "V", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['version']"}}},
        {"name": "BOTH", "value": "$(V)-$(NOBODY)-$$(V)"},
    ]
    async with running(tmp_path) as rig:
        await rig.create(container("a", env=env, args=["--version=$(V)"]), annotations={"version": "1"})
        await rig.until_ready()
        await rig.set_image("a", "app:v2", {"version": "5001"})
        await rig.until(lambda: len(rig.runtime.started) == 2, "second start")
        first, second = rig.runtime.started
        assert (first.env["V"], second.env["V"]) == ("1", "5001")
        assert second.env["BOTH"] == "5001-$(NOBODY)-$(V)"
        assert second.args == ["--version=5001"]
        assert second.env["KUBERNETES_SERVICE_PORT"] == "6443"


async def test_a_missing_image_ends_the_process_first_and_backs_off(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"), container("b"))
        await rig.until_ready()
        await rig.set_image("b", "bad:v9")
        await rig.until_state("b", "waiting", "ErrImagePull")
        assert rig.did("signal b") == ["signal b 15"]
        status = await rig.status("b")
        assert (status["image"], status["restartCount"], status["ready"]) == (
            "docker.io/library/app:v1",
            0,
            False,
        )
        assert (await rig.condition("Ready"))["message"] == "containers with unready status: [b]"
        await rig.until_state("b", "waiting", "ImagePullBackOff")
        assert 'Pulling spec.containers{b}: Pulling image "bad:v9"' in await rig.events()
        assert 'BackOff spec.containers{b}: Back-off pulling image "bad:v9"' in await rig.events()
        await rig.set_image("b", "app:v2")
        await rig.until_ready()
        assert (await rig.status("b"))["restartCount"] == 1


async def test_a_missing_image_is_looked_for_again_after_ten_seconds(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a", "late:v1"))
        await rig.until_state("a", "waiting", "ImagePullBackOff")
        rig.runtime.programs["late:v1"] = Program()
        await rig.until_ready()
        assert rig.now == pytest.approx(10, abs=0.5)


async def test_crashes_are_delayed_longer_and_longer(tmp_path: Path) -> None:
    async with running(tmp_path, {"crash:v1": Program(runs=1, code=3)}) as rig:
        await rig.create(container("a", "crash:v1"))
        await asyncio.sleep(200)
        starts = [at for at, text in rig.runtime.did if text.startswith("start a")]
        gaps = [round(later - earlier) for earlier, later in pairwise(starts)]
        assert gaps == [1, 11, 21, 41, 81]
        seen = rig.shown("a")
        assert ("terminated", "Error", 0, False) in seen
        assert ("waiting", "CrashLoopBackOff", 1, False) in seen


async def test_a_container_that_ran_for_long_starts_afresh(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"))
        for quiet in (1, 1, 700, 1):
            await asyncio.sleep(quiet)
            rig.runtime.kill("a", 1)
            await rig.until(lambda: bool(rig.runtime.processes), "started again")
        starts = [at for at, text in rig.runtime.did if text.startswith("start a")]
        gaps = [round(later - earlier) for earlier, later in pairwise(starts)]
        assert gaps == [1, 11, 700, 11]


async def upgrades(folder: Path, backoff: bool) -> list[int]:
    """How long each of six image changes of one container took until it was started again."""
    async with running(folder, backoff=backoff) as rig:
        await rig.create(container("a"))
        await rig.until_ready()
        took = []
        for number, image in enumerate(("app:v2", "app:v1") * 3, start=2):
            await asyncio.sleep(1)
            begun = rig.now
            await rig.set_image("a", image)
            await rig.until(lambda n=number: len(rig.runtime.started) == n, "started", within=200)  # type: ignore[misc]
            took.append(round(rig.now - begun))
        return took


async def test_image_changes_are_not_delayed(tmp_path: Path) -> None:
    assert await upgrades(tmp_path, backoff=False) == [0] * 6


async def test_a_real_kubelets_back_off_delays_quick_image_changes_if_asked_for(tmp_path: Path) -> None:
    assert await upgrades(tmp_path, backoff=True) == [0, 0, 0, 10, 0, 20]


async def test_an_upgrade_after_a_crash_is_not_delayed_by_it(tmp_path: Path) -> None:
    async with running(tmp_path, {"app:v1": Program(runs=1, code=3)}) as rig:
        await rig.create(container("a"))
        await rig.until_state("a", "waiting", "CrashLoopBackOff")
        begun = rig.now
        await rig.set_image("a", "app:v2")
        await rig.until_ready()
        assert rig.now - begun < 0.1


async def test_upgrades_do_not_count_when_a_container_crashes_later(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"))
        for number, image in enumerate(("app:v2", "app:v1") * 2, start=2):
            await rig.until_ready()
            await rig.set_image("a", image)
            await rig.until(lambda n=number: len(rig.runtime.started) == n, "started")  # type: ignore[misc]
        await asyncio.sleep(1)
        rig.runtime.kill("a", 1)
        begun = rig.now
        await rig.until(lambda: len(rig.runtime.started) == 6, "started again")
        assert rig.now - begun < 0.1


async def test_a_failed_hook_is_seen_for_a_while_however_long_the_end_takes(tmp_path: Path) -> None:
    failing = Program(after_term=3, commands=lambda spec, command: (0.0, 7, ""))
    async with running(tmp_path, {"app:v1": failing}) as rig:
        await rig.create(container("a", **hook("x")))
        await rig.until_state("a", "waiting", "PostStartHookError")
        begun = rig.now
        await rig.until(lambda: len(rig.runtime.started) == 2, "tried again")
        assert rig.now - begun == pytest.approx(1, abs=0.1)


async def test_a_pre_stop_hook_gets_no_more_than_the_grace_period(tmp_path: Path) -> None:
    slow = Program(after_term=None, commands=lambda spec, command: (100.0, 0, ""))
    async with running(tmp_path, {"app:v1": slow}) as rig:
        pre_stop: Object = {"lifecycle": {"preStop": {"exec": {"command": ["bye"]}}}}
        await rig.create(container("a", **pre_stop), terminationGracePeriodSeconds=5)
        await rig.until_ready()
        begun = rig.now
        await rig.api.delete(PODS, "pod", "default")
        await rig.until(rig.gone, "pod gone")
        assert rig.now - begun == pytest.approx(7, abs=0.1)  # and two seconds for SIGTERM
        assert len(await rig.events("FailedPreStopHook")) == 1


async def test_a_command_that_cannot_be_executed_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, {"none:v1": Program(cannot_start="no such file: /run")}) as rig:
        await rig.create(container("a", "none:v1"))
        await rig.until_state("a", "waiting", "RunContainerError")
        status = await rig.status("a")
        assert status["lastState"]["terminated"]["exitCode"] == 128
        assert status["state"]["waiting"]["message"] == "no such file: /run"
        await rig.until_state("a", "waiting", "CrashLoopBackOff")


async def test_init_containers_run_one_after_the_other_before_the_rest(tmp_path: Path) -> None:
    async with running(tmp_path, {"init:v1": Program(runs=2)}) as rig:
        inits = [container("first", "init:v1"), container("second", "init:v1")]
        await rig.create(container("a"), initContainers=inits)
        await asyncio.sleep(1)
        assert await rig.state("a") == ("waiting", "PodInitializing")
        assert await rig.state("first", "initContainerStatuses") == ("running", "")
        assert (await rig.condition("Initialized"))[
            "message"
        ] == "containers with incomplete status: [first second]"
        await rig.until_ready()
        assert rig.did("start", "end") == [
            "start first init:v1",
            "end first 0",
            "start second init:v1",
            "end second 0",
            "start a app:v1",
        ]
        assert (await rig.condition("Initialized"))["status"] == "True"


async def test_a_failing_init_container_is_repeated(tmp_path: Path) -> None:
    async with running(tmp_path, {"init:v1": Program(runs=1, code=1)}) as rig:
        await rig.create(container("a"), initContainers=[container("first", "init:v1")])
        await asyncio.sleep(8)
        assert await rig.state("first", "initContainerStatuses") == ("waiting", "CrashLoopBackOff")
        assert (await rig.pod())["status"]["phase"] == "Pending"
        assert rig.did("start a") == []


async def test_a_failing_init_container_fails_a_pod_that_is_never_restarted(tmp_path: Path) -> None:
    async with running(tmp_path, {"init:v1": Program(runs=1, code=1)}) as rig:
        await rig.create(
            container("a"), initContainers=[container("first", "init:v1")], restartPolicy="Never"
        )
        await asyncio.sleep(3)
        assert (await rig.pod())["status"]["phase"] == "Failed"
        assert rig.did("start") == ["start first init:v1"]


async def test_a_native_sidecar_starts_first_is_kept_alive_and_ends_last(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        sidecar = container(
            "side",
            restartPolicy="Always",
            startupProbe={"tcpSocket": {"port": 80}, "periodSeconds": 1, "failureThreshold": 30},
        )
        await rig.create(container("a"), initContainers=[sidecar])
        await asyncio.sleep(3)
        assert rig.did("start") == ["start side app:v1"]
        rig.network.answers["10.0.0.2:80"] = 0
        await rig.until_ready()
        rig.runtime.kill("side", 1)
        await rig.until(lambda: len(rig.did("start side")) == 2, "sidecar started again")
        await rig.until_ready()
        await rig.api.delete(PODS, "pod", "default")
        await rig.until(rig.gone, "pod gone")
        assert rig.did("end")[-2:] == ["end a 0", "end side 0"]


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (3, "Failed")])
async def test_a_pod_that_is_never_restarted_ends_by_its_exit_code(
    tmp_path: Path, code: int, phase: str
) -> None:
    async with running(tmp_path, {"job:v1": Program(runs=2, code=code)}) as rig:
        await rig.create(container("a", "job:v1"), restartPolicy="Never")
        await rig.until(lambda: rig.did("sandbox removed"), "sandbox removed")
        await asyncio.sleep(1)
        pod = await rig.pod()
        assert pod["status"]["phase"] == phase
        assert (await rig.condition("Ready"))["reason"] == {
            "Succeeded": "PodCompleted",
            "Failed": "PodFailed",
        }[phase]
        assert rig.did("start") == ["start a job:v1"]


async def test_on_failure_restarts_only_failures(tmp_path: Path) -> None:
    async with running(tmp_path, {"job:v1": Program(runs=1, code=1)}) as rig:
        await rig.create(container("a", "job:v1"), restartPolicy="OnFailure")
        await rig.until(lambda: len(rig.did("start")) == 2 and rig.runtime.processes, "started again")
        rig.runtime.kill("a", 0)
        await asyncio.sleep(1)
        assert (await rig.pod())["status"]["phase"] == "Succeeded"


async def test_deletion_runs_pre_stop_then_term_then_kill_for_all_at_once(tmp_path: Path) -> None:
    stubborn = Program(after_term=None, commands=lambda spec, command: (2.0, 0, ""))
    async with running(tmp_path, {"app:v1": stubborn}) as rig:
        pre_stop: Object = {"lifecycle": {"preStop": {"exec": {"command": ["bye"]}}}}
        await rig.create(
            container("a", **pre_stop), container("b", "app:v2"), terminationGracePeriodSeconds=5
        )
        await rig.until_ready()
        begun, before = rig.now, len(rig.runtime.did)
        await rig.api.delete(PODS, "pod", "default")
        await rig.until(rig.gone, "pod gone")
        assert [(round(at - begun), text) for at, text in rig.runtime.did[before:]] == [
            (0, "exec a bye"),
            (0, "signal b 15"),
            (0, "end b 0"),
            (2, "signal a 15"),
            (5, "signal a 9"),
            (5, "end a 137"),
            (5, "sandbox removed"),
        ]
        assert os.listdir(tmp_path) == []
        assert "Killing spec.containers{a}: Stopping container a" in await rig.events()
        last = [body for _, resource, body in rig.api.history if resource == PODS][-1]
        assert {
            s["name"]: s["state"]["terminated"]["exitCode"] for s in last["status"]["containerStatuses"]
        } == {"a": 137, "b": 0}


async def test_a_pod_that_is_removed_by_force_ends_at_once_even_during_a_hook(tmp_path: Path) -> None:
    async with running(tmp_path, {"app:v1": takes(100)}) as rig:
        await rig.create(container("a", **hook("x")))
        await asyncio.sleep(1)
        await rig.api.delete(PODS, "pod", "default", grace_s=0)
        await asyncio.sleep(0.1)
        assert rig.runtime.processes == {}
        assert rig.runtime.sandboxes == {}


async def test_conditions_of_others_survive(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"), container("b"))
        await rig.until_ready()
        pod = await rig.pod()
        foreign = {"type": "SidecarSetUpgradable", "status": "True", "reason": "AllSidecarsetUpgradable"}
        pod["status"]["conditions"].append(foreign)
        await rig.api.update(PODS, pod, "status")
        rig.runtime.kill("a", 1)
        await rig.until(lambda: rig.shown("a")[-1] == ("running", "", 1, True), "restart seen")
        assert await rig.condition("SidecarSetUpgradable") == foreign


async def test_a_readiness_gate_holds_back_ready_until_its_condition_holds(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"), readinessGates=[{"conditionType": "example.com/gate"}])
        await asyncio.sleep(1)
        assert (await rig.condition("ContainersReady"))["status"] == "True"
        assert (await rig.condition("Ready"))["reason"] == "ReadinessGatesNotReady"
        pod = await rig.pod()
        pod["status"]["conditions"].append({"type": "example.com/gate", "status": "True"})
        await rig.api.update(PODS, pod, "status")
        assert await rig.until_ready() < 0.1


async def test_a_missing_config_map_key_is_told_and_waited_for(tmp_path: Path) -> None:
    env = [{"name": "K", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "k"}}}]
    async with running(tmp_path) as rig:
        await rig.api.create(CONFIGMAPS, {"metadata": {"name": "cm"}, "data": {"other": "1"}}, "default")
        await rig.create(container("a", env=env))
        await rig.until_state("a", "waiting", "CreateContainerConfigError")
        message = (await rig.status("a"))["state"]["waiting"]["message"]
        assert message == "couldn't find key k in ConfigMap default/cm"
        await rig.api.patch(CONFIGMAPS, "cm", {"data": {"k": "v"}}, "default")
        assert await rig.until_ready() < 0.1
        assert rig.runtime.started[0].env["K"] == "v"


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"hostNetwork": True}, "spec.hostNetwork"),
        ({"shareProcessNamespace": True}, "spec.shareProcessNamespace"),
    ],
)
async def test_what_the_node_cannot_give_is_refused_by_an_event(
    tmp_path: Path, spec: dict[str, Any], field: str
) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"), **spec)
        await asyncio.sleep(1)
        assert rig.runtime.started == []
        assert (await rig.pod())["status"]["phase"] == "Pending"
        assert [text for text in await rig.events("Unsupported") if field in text]
        await rig.api.delete(PODS, "pod", "default")
        await rig.until(rig.gone, "pod gone")


async def test_a_volume_of_an_unknown_kind_is_refused_by_an_event(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"), volumes=[{"name": "x", "hostPath": {"path": "/"}}])
        await asyncio.sleep(1)
        assert await rig.state("a") == ("waiting", "ContainerCreating")
        assert await rig.events("FailedMount") == [
            'FailedMount : volume "x": hostPath is not supported by the embedded cluster'
        ]


async def test_a_user_that_the_pod_names_is_passed_on(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        first = container("a", securityContext={"runAsUser": 1000, "runAsGroup": 2000})
        await rig.create(first, container("b"), securityContext={"runAsUser": 7})
        await rig.until_ready()
        assert [spec.user for spec in rig.runtime.started] == ["1000:2000", "7"]


async def test_root_is_refused_where_it_must_not_run(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a", securityContext={"runAsNonRoot": True}))
        await rig.until_state("a", "waiting", "CreateContainerConfigError")


async def test_a_hooks_command_sees_the_container_that_it_belongs_to(tmp_path: Path) -> None:
    seen: list[str] = []

    def command(spec: ContainerSpec, words: list[str]) -> tuple[float, int, str]:
        seen.append(spec.image.ref)
        return 0.0, 0, ""

    async with running(
        tmp_path, {"app:v1": Program(commands=command), "app:v2": Program(commands=command)}
    ) as rig:
        await rig.create(container("a", **hook("x")))
        await rig.until_ready()
        await rig.set_image("a", "app:v2")
        await rig.until(lambda: len(seen) == 2, "second hook")
        assert seen == ["app:v1", "app:v2"]
