"""The scripted sequences: what is done to a SidecarSet step by step, and which state is waited for. Data."""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kubernetes.client import ApiClient

from tests.controller.record import Recording
from tests.controller.stage import IMAGES, Object, Stage

WITHIN_S = 60.0
Act = Callable[[Stage], object]
Until = Callable[[Stage], bool]


@dataclass(frozen=True)
class Do:
    """One step. `quiet_s` None waits as long as Kruise's slowest second look."""

    what: str
    act: Act
    until: Until | None = None
    within_s: float = WITHIN_S
    quiet_s: float | None = None


@dataclass(frozen=True)
class Sequence:
    """Steps in a row. `quick` ones are played in every test run; `each_alone`: the set is deleted after each."""

    name: str
    steps: tuple[Do, ...]
    version: str = "v1alpha1"
    quick: bool = False
    each_alone: bool = False

    def play(self, api: ApiClient) -> Recording:
        """Plays it in a namespace of its own, which is gone afterwards."""
        with Stage(api, self.name, self.version) as stage:
            for do in self.steps:
                stage.step(do.what, do.act, do.until, do.within_s, do.quiet_s)
                if self.each_alone:
                    stage.forget_set()
            recording = stage.recording()
        api.rest_client.pool_manager.clear()  # connections that nobody closes are warnings, and warnings are errors
        return recording


# -- objects ---------------------------------------------------------------------------------------------------


def sidecar(
    name: str = "mesh", image: str = "v1", *, hot: bool = True, post: str = "true", **extra: Any
) -> Object:
    """A container of the set; `post` is its postStart hook's script."""
    container: Object = {"name": name, "image": IMAGES[image], "imagePullPolicy": "IfNotPresent"}
    container["lifecycle"] = {"postStart": {"exec": {"command": ["/bin/sh", "-c", post]}}}
    if hot:
        container["upgradeStrategy"] = {"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": IMAGES["empty"]}
    return {**container, **extra}


def sidecarset(stage: Stage, *containers: Object, **spec: Any) -> Object:
    """A set for the stage's pods, in its API version."""
    if stage.version == "v1beta1":
        where: Object = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": stage.name}}}
    else:
        where = {"namespace": stage.name}
    return {
        "apiVersion": f"apps.kruise.io/{stage.version}",
        "kind": "SidecarSet",
        "metadata": {"name": stage.name},
        "spec": {
            "selector": {"matchLabels": {"app": "trace"}},
            **where,
            "containers": list(containers) or [sidecar()],
            "updateStrategy": {"type": "RollingUpdate", "maxUnavailable": 1},
            **spec,
        },
    }


# -- conditions ------------------------------------------------------------------------------------------------


def working(image: str, pods: int = 1, container: str = "mesh") -> Until:
    """So many pods run the image in one container of the pair and the empty one in the other, started and ready."""
    wanted = sorted([IMAGES[image], IMAGES["empty"]])

    def holds(stage: Stage) -> bool:
        return sum(_pair_is(pod, container, wanted) for pod in stage.pods()) >= pods

    return holds


def _pair_is(pod: Object, container: str, wanted: list[str]) -> bool:
    states = {one["name"]: one for one in pod["status"].get("containerStatuses") or []}
    names = (f"{container}-1", f"{container}-2")
    pair = [one for one in pod["spec"]["containers"] if one["name"] in names]
    if sorted(one["image"] for one in pair) != wanted:
        return False
    found = [(one["image"], states.get(one["name"], {})) for one in pair]
    return all(state.get("ready") and state["image"].endswith(image) for image, state in found)


def running(pods: int = 1) -> Until:
    """So many pods have all containers ready."""

    def holds(stage: Stage) -> bool:
        states = [pod["status"].get("containerStatuses") or [] for pod in stage.pods()]
        return sum(bool(each) and all(one["ready"] for one in each) for each in states) >= pods

    return holds


def wants(image: str, pods: int = 1) -> Until:
    """So many pods have the image in their spec."""
    return lambda stage: (
        sum(any(one["image"] == IMAGES[image] for one in pod["spec"]["containers"]) for pod in stage.pods())
        >= pods
    )


def restarted(container: str, times: int) -> Until:
    """The container was restarted so often and is ready."""
    return lambda stage: any(
        one["name"] == container and one["restartCount"] >= times and one["ready"]
        for pod in stage.pods()
        for one in pod["status"]["containerStatuses"]
    )


def both(*conditions: Until) -> Until:
    """All of them."""
    return lambda stage: all(holds(stage) for holds in conditions)


def observed(stage: Stage) -> bool:
    """The controller has seen the set; a pod that is made earlier can come without sidecars."""
    there = stage.get_set()
    return bool((there.get("status") or {}).get("observedGeneration") == there["metadata"]["generation"])


# -- steps -----------------------------------------------------------------------------------------------------


def start(*containers: Object, pods: int = 1, **spec: Any) -> tuple[Do, ...]:
    """A set, and pods that get its sidecars."""
    return (
        Do(
            "create set",
            lambda stage: stage.create_set(sidecarset(stage, *containers, **spec)),
            observed,
            quiet_s=1,
        ),
        Do("create pods", lambda stage: stage.deploy(pods), running(pods)),
    )


def image(name: str, position: int = 0) -> Act:
    """Changes a container's image."""
    return edit(lambda spec: spec["containers"][position].update(image=IMAGES[name]))


def edit(*changes: Callable[[Object], object]) -> Act:
    """Changes the set's spec in one write."""
    return lambda stage: stage.edit_set(lambda spec: [change(spec) for change in changes])


def strategy(**values: Any) -> Callable[[Object], object]:
    """A change of the update strategy."""
    return lambda spec: spec["updateStrategy"].update(values)


def new_image(name: str) -> Callable[[Object], object]:
    """A change of the first container's image, beside others."""
    return lambda spec: spec["containers"][0].update(image=IMAGES[name])


def upgrade(name: str, pods: int = 1, within_s: float = WITHIN_S) -> Do:
    """An upgrade to its end."""
    return Do(f"upgrade to {name}", image(name), working(name, pods), within_s=within_s)


def two_at_once(stage: Stage) -> None:
    """The second change comes before the first has done anything."""
    image("v2")(stage)
    time.sleep(0.3)
    image("v3")(stage)


def read_environment(stage: Stage) -> None:
    """The version variables as the processes have them; resourceVersions are volatile."""
    stage.environments.append(
        {
            name: sorted(
                re.sub(r"=\d{3,}", "=RV", word)
                for word in stage.execute(name, "env").split()
                if word.startswith("SIDECARSET")
            )
            for name in ("mesh-1", "mesh-2")
        }
    )


def end_first(stage: Stage) -> None:
    """Ends process 1 of the pair's first container."""
    stage.execute("mesh-1", "/bin/sh", "-c", "kill 1")


FAILS = '[ "$SIDECARSET_VERSION_ALT" = 0 ] || [ "$SIDECARSET_VERSION" = 0 ] || [ "$SIDECARSET_VERSION" = 1 ] || exit 7'
LATE = {
    "exec": {"command": ["/bin/sh", "-c", "[ $SIDECARSET_VERSION != x ]"]},
    "initialDelaySeconds": 2,
    "periodSeconds": 1,
}
NOT_V2 = {"exec": {"command": ["/bin/sh", "-c", "grep -qv v2 /etc/what-i-am"]}, "periodSeconds": 1}
FEATURES = sidecar(
    env=[{"name": "OWN", "value": "1"}],
    volumeMounts=[{"name": "shared", "mountPath": "/shared"}],
    shareVolumePolicy={"type": "enabled"},
    podInjectPolicy="AfterAppContainer",
    transferEnv=[{"sourceContainerName": "app", "envName": "TOKEN"}],
)
PREPARE = {
    "name": "prepare",
    "image": IMAGES["app"],
    "imagePullPolicy": "IfNotPresent",
    "command": ["/bin/true"],
}
APP_WITH_DATA = {
    "name": "app",
    "image": IMAGES["app"],
    "imagePullPolicy": "IfNotPresent",
    "env": [{"name": "TOKEN", "value": "t"}],
    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
}


def _features(stage: Stage) -> None:
    shared = {"volumes": [{"name": "shared", "emptyDir": {}}], "initContainers": [PREPARE]}
    stage.create_set(sidecarset(stage, FEATURES, sidecar("log", hot=False), **shared))


def _again_with_v2(stage: Stage) -> None:
    stage.create_set(sidecarset(stage, sidecar(image="v2")))


def wrong(what: str, change: Callable[[Object, Object], object]) -> Do:
    """A set that is wrong in one thing; `change` gets its spec and its container."""

    def act(stage: Stage) -> None:
        body = sidecarset(stage)
        change(body["spec"], body["spec"]["containers"][0])
        stage.create_set(body)

    return Do(what, act, quiet_s=0.3)


WRONG = (
    wrong("valid", lambda spec, container: None),
    wrong("no selector", lambda spec, container: spec.pop("selector")),
    wrong("empty selector", lambda spec, container: spec.update(selector={})),
    wrong("no containers", lambda spec, container: spec.update(containers=[])),
    wrong("no image", lambda spec, container: container.pop("image")),
    wrong("two of a name", lambda spec, container: spec["containers"].append(copy.deepcopy(container))),
    wrong(
        "unknown upgradeType", lambda spec, container: container["upgradeStrategy"].update(upgradeType="Warm")
    ),
    wrong(
        "hot without empty image",
        lambda spec, container: container["upgradeStrategy"].pop("hotUpgradeEmptyImage"),
    ),
    wrong("unknown podInjectPolicy", lambda spec, container: container.update(podInjectPolicy="Beside")),
    wrong("unknown strategy", lambda spec, container: spec["updateStrategy"].update(type="Recreate")),
    wrong("maxUnavailable 0", lambda spec, container: spec["updateStrategy"].update(maxUnavailable=0)),
    wrong(
        "maxUnavailable 150%", lambda spec, container: spec["updateStrategy"].update(maxUnavailable="150%")
    ),
    wrong("partition -1", lambda spec, container: spec["updateStrategy"].update(partition=-1)),
    wrong("name with underscore", lambda spec, container: container.update(name="me_sh")),
    wrong("name of 63 letters", lambda spec, container: container.update(name="m" * 63)),
    wrong("volume twice", lambda spec, container: spec.update(volumes=[{"name": "a", "emptyDir": {}}] * 2)),
    wrong("bad namespace selector", lambda spec, container: spec.update(namespaceSelector={})),
)
CYCLES = (*start(), upgrade("v2"), upgrade("v1"), upgrade("v3"))

ALL: tuple[Sequence, ...] = (
    Sequence("inject", (*start(), Do("read environment", read_environment)), quick=True),
    Sequence("cycles", CYCLES),
    Sequence("cycles-v1beta1", CYCLES, version="v1beta1"),
    Sequence(
        "bad-then-good",
        (
            *start(),
            Do("bad image", image("bad"), wants("bad"), quiet_s=12),
            Do("good image", image("v2"), working("v2")),
        ),
        quick=True,
    ),
    Sequence(
        "bad-then-back",
        (
            *start(),
            Do("bad image", image("bad"), wants("bad"), quiet_s=8),
            Do("back to v1", image("v1"), quiet_s=15),
            Do("then v2", image("v2"), working("v2"), within_s=40),
        ),
    ),
    Sequence("two-quick", (*start(), Do("v2, and v3 after 300 ms", two_at_once, working("v3"))), quick=True),
    Sequence("slow-hook", (*start(sidecar(post="sleep 5")), upgrade("v2"))),
    Sequence(
        "change-during-hook",
        (
            *start(sidecar(post="sleep 6")),
            Do("upgrade to v2", image("v2"), wants("v2"), quiet_s=3),
            Do("v3 while v2 migrates", image("v3"), working("v3"), within_s=90),
        ),
    ),
    Sequence(
        "failing-hook",
        (
            *start(sidecar(post=FAILS)),
            Do("upgrade to v2", image("v2"), wants("v2"), quiet_s=25),
            Do("repair the hook's image", image("v3"), quiet_s=20),
        ),
    ),
    Sequence("rolling", (*start(pods=3), upgrade("v2", 3, within_s=120))),
    Sequence(
        "partition",
        (
            *start(pods=4),
            Do(
                "partition 50%, v2",
                edit(strategy(partition="50%"), new_image("v2")),
                working("v2", 2),
                quiet_s=8,
            ),
            Do("partition 0", edit(strategy(partition=0)), working("v2", 4)),
        ),
    ),
    Sequence(
        "max-unavailable",
        (
            *start(pods=4),
            Do(
                "maxUnavailable 50%, v2",
                edit(strategy(maxUnavailable="50%"), new_image("v2")),
                working("v2", 4),
                within_s=120,
            ),
        ),
    ),
    Sequence(
        "paused",
        (
            *start(sidecar(post="sleep 4")),
            Do("pause, v2", edit(strategy(paused=True), new_image("v2")), quiet_s=6),
            Do("resume", edit(strategy(paused=False)), wants("v2"), quiet_s=1),
            Do("pause in the middle", edit(strategy(paused=True)), quiet_s=10),
            Do("resume again", edit(strategy(paused=False)), working("v2")),
        ),
    ),
    Sequence(
        "not-update",
        (
            *start(),
            Do("NotUpdate, v2", edit(strategy(type="NotUpdate"), new_image("v2")), quiet_s=6),
            Do("RollingUpdate", edit(strategy(type="RollingUpdate")), working("v2")),
        ),
        quick=True,
    ),
    Sequence(
        "env-only",
        (
            *start(),
            Do(
                "env changes",
                edit(lambda spec: spec["containers"][0].update(env=[{"name": "A", "value": "b"}])),
                quiet_s=8,
            ),
            Do("v2 with that env", image("v2"), quiet_s=8),
        ),
        quick=True,
    ),
    Sequence(
        "scale-in-middle",
        (
            *start(),
            Do("NotUpdate, v2", edit(strategy(type="NotUpdate"), new_image("v2")), quiet_s=3),
            Do("scale to 2", lambda stage: stage.scale(2), running(2)),
            Do("RollingUpdate", edit(strategy(type="RollingUpdate")), working("v2", 2)),
        ),
    ),
    Sequence(
        "two-hot",
        (
            *start(sidecar(), sidecar("dns")),
            Do("mesh to v2", image("v2"), working("v2")),
            Do(
                "both to v3",
                edit(lambda spec: [one.update(image=IMAGES["v3"]) for one in spec["containers"]]),
                both(working("v3"), working("v3", container="dns")),
            ),
        ),
    ),
    Sequence(
        "hot-and-cold",
        (
            *start(sidecar(), sidecar("log", hot=False)),
            Do("log to v2", image("v2", 1), wants("v2"), quiet_s=6),
            Do("mesh to v2", image("v2"), working("v2")),
        ),
    ),
    Sequence(
        "cold",
        (*start(sidecar(hot=False)), Do("v2", image("v2"), both(running(), wants("v2")), quiet_s=5)),
        quick=True,
    ),
    Sequence(
        "empty-image-changes",
        (
            *start(),
            Do(
                "other empty image",
                edit(
                    lambda spec: spec["containers"][0]["upgradeStrategy"].update(
                        hotUpgradeEmptyImage=IMAGES["empty2"]
                    )
                ),
                quiet_s=10,
            ),
            Do("v2", image("v2"), quiet_s=10),
        ),
    ),
    Sequence("image-is-empty", (*start(), Do("image = empty", image("empty"), quiet_s=12)), quick=True),
    Sequence(
        "killed",
        (
            *start(),
            Do("the working process ends", end_first, restarted("mesh-1", 1)),
            upgrade("v2"),
            Do("the idle process ends", end_first, restarted("mesh-1", 3)),
            Do("read environment", read_environment),
        ),
    ),
    Sequence("probes", (*start(sidecar(readinessProbe=LATE)), upgrade("v2"))),
    Sequence(
        "never-ready",
        (
            *start(sidecar(readinessProbe=NOT_V2)),
            Do("upgrade to v2, never ready", image("v2"), wants("v2"), quiet_s=10),
            Do("on to v3", image("v3"), working("v3")),
        ),
    ),
    Sequence(
        "gone-and-back",
        (
            *start(),
            Do("delete set", lambda stage: stage.delete_set(), quiet_s=4),
            Do("create again with v2", _again_with_v2, working("v2")),
        ),
        quick=True,
    ),
    Sequence(
        "injection-features",
        (
            Do("create set", _features, observed, quiet_s=1),
            Do(
                "create pods",
                lambda stage: stage.deploy(
                    1, containers=[APP_WITH_DATA], volumes=[{"name": "data", "emptyDir": {}}]
                ),
                running(),
            ),
            upgrade("v2"),
        ),
        quick=True,
    ),
    Sequence("refused", WRONG, quick=True, each_alone=True),
)
