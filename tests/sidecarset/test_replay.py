"""The recorded sequences of the real controller, played again: the same books, images, restarts and
counters."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.sidecarset.names import Object
from tests.sidecarset.world import IMAGES, SET, World, sidecar

RECORDED: dict[str, list[Object]] = json.loads((Path(__file__).parent / "recorded.json").read_text())
COUNTERS = ("matchedPods", "updatedPods", "readyPods", "updatedReadyPods")


def seen(pod: Object) -> str:
    """A pod as the recordings have it: volatile values become symbols by order of appearance, versions by
    size."""
    notes = {}
    for key, value in pod["metadata"].get("annotations", {}).items():
        if "version" in key:
            notes[key] = value if value in ("0", "1") else f"@rv:{value}@"
            continue
        value = re.sub(r'"updateTimestamp":"[^"]*"', '"updateTimestamp":"T"', value)
        value = re.sub(r"[bcdfghjklmnpqrstvwxz2456789]{64}", r"@hash:\g<0>@", value)
        value = re.sub(
            r"[a-z0-9./-]+@sha256:[0-9a-f]{64}", lambda found: f"@id:{found.group()[-64:]}@", value
        )
        value = re.sub(rf"{SET}-[a-z0-9]{{6,12}}\b", r"@revision:\g<0>@", value)
        notes[key] = json.loads(value) if value.startswith("{") else value
    statuses = {each["name"]: each for each in pod.get("status", {}).get("containerStatuses", [])}
    verdicts = [each for each in pod["status"]["conditions"] if each["type"] == "SidecarSetUpgradable"]
    state = {
        "annotations": notes,
        "images": {each["name"]: each["image"] for each in pod["spec"]["containers"]},
        "restarts": {each: status["restartCount"] for each, status in statuses.items()},
        "upgradable": verdicts[0]["status"] if verdicts else None,
    }
    return symbols(json.dumps(state, sort_keys=True))


def symbols(text: str) -> str:
    for kind in ("hash", "id", "revision", "rv"):
        found = list(dict.fromkeys(re.findall(f"@{kind}:([^@]*)@", text)))
        found.sort(key=lambda value: int(value) if kind == "rv" else 0)
        text = re.sub(f"@{kind}:([^@]*)@", lambda match: f"{kind}#{found.index(match.group(1)) + 1}", text)  # noqa: B023
    return text


def settled(world: World, image: str, working: str, idle: str) -> bool:
    """Whether every pod works with that image in one half and has the empty one in the other."""
    pair = {working: IMAGES[image], idle: IMAGES["empty"]}
    found = [{each["name"]: each["image"] for each in pod["spec"]["containers"]} for pod in world.pods()]
    return all(pair.items() <= each.items() for each in found)


class Replay:
    """A world whose steps are held against a recording's."""

    def __init__(self, name: str, **world: float) -> None:
        self.world, self._steps = World(**world), iter(RECORDED[name])
        self.version = "v1alpha1"

    def start(self, pods: int = 1, containers: list[Object] | None = None, **spec: object) -> None:
        self.world.version = self.version
        self.world.create_set(containers or [sidecar()], **spec)
        self.world.run(1)
        assert {key: self.world.status().get(key) for key in COUNTERS} == dict(
            zip(COUNTERS, (0, 0, 0, None), strict=True)
        )
        self.step("create pods", lambda: self.world.create_pods(pods))

    def step(self, name: str, act: Callable[[], object], hold_s: float = 60.0) -> None:
        recorded = next(self._steps)
        assert recorded["step"] == name
        act()
        self.world.run(hold_s)
        expected = [pod for count, pod in recorded["pods"] for _ in range(count)]
        actual = [json.loads(text) for text in sorted(map(seen, self.world.pods()))]
        assert actual == expected
        assert {key: self.world.status().get(key) for key in COUNTERS} == recorded["status"]

    def image(self, name: str, image: str, hold_s: float = 60.0) -> None:
        self.step(name, lambda: self.world.set_image(image), hold_s)

    def strategy(self, name: str, hold_s: float = 60.0, image: str | None = None, **change: object) -> None:
        def edit(spec: Object) -> None:
            spec["updateStrategy"].update(change)
            if image:
                spec["containers"][0]["image"] = IMAGES[image]

        self.step(name, lambda: self.world.edit_set(edit), hold_s)


@pytest.mark.parametrize(("recording", "version"), [("cycles", "v1alpha1"), ("cycles-v1beta1", "v1beta1")])
def test_three_upgrades_in_a_row(recording: str, version: str) -> None:
    replay = Replay(recording)
    replay.version = version
    replay.start()
    for image in ("v2", "v1", "v3"):
        replay.image(f"upgrade to {image}", image)
    assert len(replay.world.api.events("ResetContainerSucceed")) == 3


def test_a_bad_image_leaves_the_predecessor_alone_and_a_good_one_takes_its_place() -> None:
    replay = Replay("bad-then-good")
    replay.start()
    replay.image("bad image", "bad", 12)
    assert not replay.world.api.events("ResetContainerSucceed")
    replay.image("good image", "v2")


@pytest.mark.parametrize("pause_s", [0.3, 0.6, 1.2, 3.0])
def test_two_quick_changes_are_two_whole_cycles_whenever_the_second_comes(pause_s: float) -> None:
    replay = Replay("two-quick")
    replay.start()

    def both() -> None:
        replay.world.set_image("v2")
        replay.world.run(pause_s)
        replay.world.set_image("v3")

    replay.step("v2, and v3 after 300 ms", both)


def test_a_slow_hook_holds_the_reset_back() -> None:
    replay = Replay("slow-hook", hook_s=5)
    replay.start()
    replay.image("upgrade to v2", "v2")


def test_a_change_during_the_hook_waits_for_the_reset_of_the_first() -> None:
    replay = Replay("change-during-hook", hook_s=6)
    replay.start()
    replay.image("upgrade to v2", "v2", 2)
    replay.image("v3 while v2 migrates", "v3")


def test_a_readiness_probe_holds_the_reset_back() -> None:
    replay = Replay("probes", probe_s=2)
    replay.start()
    replay.image("upgrade to v2", "v2")


def test_pods_are_upgraded_one_at_a_time() -> None:
    replay = Replay("rolling")
    replay.start(pods=3)
    replay.image("upgrade to v2", "v2")
    events = [(each["event"], each["pod"]) for each in replay.world.log]
    assert [kind for kind, _ in events] == ["upgraded", "reset"] * 3
    assert all(first[1] == second[1] for first, second in zip(events[::2], events[1::2], strict=True))


def test_a_partition_keeps_pods_back() -> None:
    replay = Replay("partition")
    replay.start(pods=4)
    replay.strategy("partition 50%, v2", image="v2", partition="50%")
    replay.strategy("partition 0", partition=0)


def test_a_percentage_of_pods_is_upgraded_at_once() -> None:
    replay = Replay("max-unavailable")
    replay.start(pods=4)
    replay.strategy("maxUnavailable 50%, v2", image="v2", maxUnavailable="50%")
    assert [each["event"] for each in replay.world.log][:2] == ["upgraded", "upgraded"]
    assert replay.world.log[2]["event"] == "reset"


def test_a_paused_set_neither_upgrades_nor_resets() -> None:
    replay = Replay("paused", hook_s=4)
    replay.start()
    replay.strategy("pause, v2", 6, image="v2", paused=True)
    replay.strategy("resume", 1.1, paused=False)
    replay.strategy("pause in the middle", 10, paused=True)
    replay.strategy("resume again", paused=False)


def test_a_set_of_type_not_update_leaves_pods_alone_until_its_type_changes() -> None:
    replay = Replay("not-update")
    replay.start()
    replay.strategy("NotUpdate, v2", 6, image="v2", type="NotUpdate")
    replay.strategy("RollingUpdate", type="RollingUpdate")


def test_pods_that_come_during_not_update_have_the_newest_image() -> None:
    replay = Replay("scale-in-middle")
    replay.start()
    replay.strategy("NotUpdate, v2", 3, image="v2", type="NotUpdate")
    replay.step("scale to 2", lambda: replay.world.create_pods(1))
    replay.strategy("RollingUpdate", type="RollingUpdate")


def test_a_cold_upgrade_replaces_the_container() -> None:
    replay = Replay("cold")
    replay.start(containers=[sidecar(hot=False)])
    replay.image("v2", "v2")


def test_two_hot_containers_are_upgraded_each_by_itself() -> None:
    replay = Replay("two-hot")
    replay.start(containers=[sidecar(), sidecar("dns")])
    replay.image("mesh to v2", "v2")

    def both(spec: Object) -> None:
        for container in spec["containers"]:
            container["image"] = IMAGES["v3"]

    replay.step("both to v3", lambda: replay.world.edit_set(both))


def test_a_hot_and_a_cold_container_in_one_set() -> None:
    replay = Replay("hot-and-cold")
    replay.start(containers=[sidecar(), sidecar("log", hot=False)])
    replay.step("log to v2", lambda: replay.world.set_image("v2", 1))
    replay.image("mesh to v2", "v2")


def test_a_change_of_another_field_marks_pods_as_not_upgradable() -> None:
    replay = Replay("env-only")
    replay.start()
    change = {"env": [{"name": "A", "value": "b"}]}
    replay.step(
        "env changes", lambda: replay.world.edit_set(lambda spec: spec["containers"][0].update(change))
    )
    replay.image("v2 with that env", "v2")
    assert len(replay.world.api.events("NotUpgradablePods")) == 1


def test_a_set_that_was_deleted_and_comes_back_finds_its_pods_again() -> None:
    replay = Replay("gone-and-back")
    replay.start()
    world = replay.world
    replay_deleted = next(replay._steps)
    assert replay_deleted["step"] == "delete set"
    world.api.delete(f"/apis/apps.kruise.io/v1beta1/sidecarsets/{SET}")
    world.run(4)
    replay.step("create again with v2", lambda: world.create_set([sidecar(image="v2")]))


def test_containers_that_end_by_themselves_change_nothing_in_the_books() -> None:
    replay = Replay("killed")
    replay.start()
    replay.step("the working process ends", lambda: replay.world.crash("mesh-1"))
    replay.image("upgrade to v2", "v2")
    replay.step("the idle process ends", lambda: replay.world.crash("mesh-1"))


def test_a_successor_that_is_never_ready_is_replaced_by_the_next_image() -> None:
    replay = Replay("never-ready")
    replay.world.never_ready = IMAGES["v2"]
    replay.start()
    replay.image("upgrade to v2, never ready", "v2")
    replay.image("on to v3", "v3")


def test_the_features_of_injection_together() -> None:
    replay = Replay("injection-features")
    mesh = sidecar(
        env=[{"name": "OWN", "value": "1"}],
        volumeMounts=[{"name": "shared", "mountPath": "/shared"}],
        shareVolumePolicy={"type": "enabled"},
        podInjectPolicy="AfterAppContainer",
        transferEnv=[{"sourceContainerName": "app", "envName": "TOKEN"}],
    )
    replay.world.create_set(
        [mesh, sidecar("log", hot=False)],
        volumes=[{"name": "shared", "emptyDir": {}}],
        initContainers=[{"name": "prepare", "image": IMAGES["app"], "command": ["/bin/true"]}],
    )
    app = {
        "name": "app",
        "image": IMAGES["app"],
        "env": [{"name": "TOKEN", "value": "t"}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    volumes = [{"name": "data", "emptyDir": {}}]
    replay.step("create pods", lambda: replay.world.create_pods(1, containers=[app], volumes=volumes))
    pod = replay.world.pods()[0]["spec"]
    assert [each["name"] for each in pod["containers"]] == ["log", "app", "mesh-1", "mesh-2"]
    assert [each["name"] for each in pod["volumes"]] == ["data", "shared"]
    assert [each["name"] for each in pod["initContainers"]] == ["prepare"]
    log, _, first, second = pod["containers"]
    assert "volumeMounts" not in log
    for half in (first, second):
        assert [each["mountPath"] for each in half["volumeMounts"]] == ["/shared", "/data"]
        names = [each["name"] for each in half["env"]]
        assert names == ["OWN", "IS_INJECTED", "TOKEN", "SIDECARSET_VERSION", "SIDECARSET_VERSION_ALT"]
    replay.image("upgrade to v2", "v2")


# -- where the real controller goes wrong --------------------------------------------------------------------


def test_a_roll_back_while_the_successor_fails_settles_at_the_predecessors_image() -> None:
    replay = Replay("bad-then-back")
    replay.start()
    replay.image("bad image", "bad")
    world = replay.world
    world.run(10)
    world.set_image("v1")
    world.run(20)
    assert settled(world, "v1", working="mesh-2", idle="mesh-1")
    assert world.status()["updatedReadyPods"] == 1


def test_a_roll_back_while_both_are_healthy_waits_for_the_reset() -> None:
    world = World(hook_s=1)
    world.create_set([sidecar(), sidecar("dns")])
    world.create_pods(1)
    world.run(10)
    world.set_image("v2")
    world.set_image("bad", 1)
    world.run(10)
    # dns fails, so the reset waits although both halves of mesh are healthy.
    images = {each["name"]: each["image"] for each in world.pods()[0]["spec"]["containers"]}
    assert (images["mesh-1"], images["mesh-2"]) == (IMAGES["v1"], IMAGES["v2"])
    world.set_image("v1")
    world.run(10)
    assert world.status()["updatedPods"] == 0
    world.set_image("v2", 1)
    world.run(30)
    assert settled(world, "v1", working="mesh-1", idle="mesh-2")
    assert world.status()["updatedReadyPods"] == 1


def test_another_empty_image_restarts_nothing() -> None:
    world = World()
    world.create_set([sidecar()])
    world.create_pods(2)
    world.run(10)
    strategy = {"hotUpgradeEmptyImage": IMAGES["empty2"]}
    world.edit_set(lambda spec: spec["containers"][0]["upgradeStrategy"].update(strategy))
    world.run(20)
    assert settled(world, "v1", working="mesh-1", idle="mesh-2")
    assert [world.status()[key] for key in ("matchedPods", "updatedPods", "readyPods")] == [2, 0, 2]
    assert all("SidecarSetUpgradable" in str(pod["status"]) for pod in world.pods())


def test_an_empty_image_that_changes_in_the_middle_of_an_upgrade_still_lets_it_end() -> None:
    world = World(hook_s=2)
    world.create_set([sidecar()])
    world.create_pods(1)
    world.run(10)
    world.set_image("v2")
    world.run(1)
    strategy = {"hotUpgradeEmptyImage": IMAGES["empty2"]}
    world.edit_set(lambda spec: spec["containers"][0]["upgradeStrategy"].update(strategy))
    world.run(20)
    images = {each["name"]: each["image"] for each in world.pods()[0]["spec"]["containers"]}
    assert (images["mesh-1"], images["mesh-2"]) == (IMAGES["empty2"], IMAGES["v2"])


def test_a_change_that_is_taken_back_makes_the_pod_upgradable_again() -> None:
    world = World()
    world.create_set([sidecar()])
    world.create_pods(1)
    world.run(10)
    world.edit_set(lambda spec: spec["containers"][0].update(env=[{"name": "A", "value": "b"}]))
    world.run(10)
    assert verdict(world) == "False"
    world.edit_set(lambda spec: spec["containers"][0].pop("env"))
    world.run(10)
    assert verdict(world) == "True"


def verdict(world: World) -> str:
    conditions = world.pods()[0]["status"]["conditions"]
    return next(str(each["status"]) for each in conditions if each["type"] == "SidecarSetUpgradable")
