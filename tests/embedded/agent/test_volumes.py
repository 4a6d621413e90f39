"""Files that pods get, as containers would see them."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest

from harness.embedded.agent.volumes import SERVICE_ACCOUNT
from harness.embedded.seams import CONFIGMAPS, PODS, SECRETS, ContainerSpec
from tests.embedded.agent.rig import container, running

pytestmark = pytest.mark.looptime


def source(spec: ContainerSpec, target: str) -> Path:
    """The machine's path behind a mount."""
    return next(mount.source for mount in spec.mounts if mount.target == target)


async def test_every_container_has_its_service_accounts_files_unless_it_must_not(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"))
        await rig.until_ready()
        folder = source(rig.runtime.started[0], SERVICE_ACCOUNT)
        assert {p.name: p.read_text() for p in folder.iterdir() if not p.name.startswith("..")} == {
            "token": "TOKEN",
            "ca.crt": "CA",
            "namespace": "default",
        }


async def test_a_pod_may_do_without_a_service_account(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"), automountServiceAccountToken=False)
        await rig.until_ready()
        assert {mount.target for mount in rig.runtime.started[0].mounts} == {"/etc/hosts", "/etc/resolv.conf"}


async def test_a_pod_knows_its_own_name_unless_it_brings_names_of_its_own(tmp_path: Path) -> None:
    own = [{"name": "d", "mountPath": "/etc/hosts", "subPath": "hosts"}]
    async with running(tmp_path) as rig:
        await rig.create(
            container("a"), container("b", volumeMounts=own), volumes=[{"name": "d", "emptyDir": {}}]
        )
        await rig.until_ready()
        first, second = rig.runtime.started
        assert source(first, "/etc/hosts").read_text() == "127.0.0.1\tlocalhost\n10.0.0.2\tpod\n"
        targets = [mount.target for mount in second.mounts]
        assert targets.count("/etc/hosts") == 1
        assert "volumes/d" in str(source(second, "/etc/hosts"))


async def test_containers_share_an_empty_directory_and_its_parts(tmp_path: Path) -> None:
    mounts = [
        {"name": "d", "mountPath": "/d"},
        {"name": "d", "mountPath": "/part", "subPath": "x/y", "readOnly": True},
    ]
    async with running(tmp_path) as rig:
        one, two = container("a", volumeMounts=mounts), container("b", volumeMounts=mounts[:1])
        await rig.create(one, two, volumes=[{"name": "d", "emptyDir": {"medium": "Memory"}}])
        await rig.until_ready()
        first, second = rig.runtime.started
        assert source(first, "/d") == source(second, "/d")
        assert source(first, "/d").stat().st_mode & 0o777 == 0o777
        assert source(first, "/part") == source(first, "/d") / "x/y"
        assert [mount.read_only for mount in first.mounts[:2]] == [False, True]


async def test_a_part_of_a_volume_does_not_lie_outside_of_it(tmp_path: Path) -> None:
    mounts = [{"name": "d", "mountPath": "/d", "subPath": "../../x"}]
    async with running(tmp_path) as rig:
        await rig.create(container("a", volumeMounts=mounts), volumes=[{"name": "d", "emptyDir": {}}])
        await rig.until_state("a", "waiting", "CreateContainerConfigError")


async def test_config_maps_and_secrets_become_files(tmp_path: Path) -> None:
    volumes = [
        {"name": "c", "configMap": {"name": "cm", "items": [{"key": "k", "path": "deep/k", "mode": 0o600}]}},
        {"name": "s", "secret": {"secretName": "se", "defaultMode": 0o400}},
        {"name": "o", "configMap": {"name": "nobody", "optional": True}},
    ]
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in "cso"]
    async with running(tmp_path) as rig:
        await rig.api.create(
            CONFIGMAPS, {"metadata": {"name": "cm"}, "data": {"k": "v", "l": "w"}}, "default"
        )
        secret = {"metadata": {"name": "se"}, "data": {"p": base64.b64encode(b"pass").decode()}}
        await rig.api.create(SECRETS, secret, "default")
        await rig.create(container("a", volumeMounts=mounts), volumes=volumes)
        await rig.until_ready()
        spec = rig.runtime.started[0]
        assert (source(spec, "/c") / "deep/k").read_text() == "v"
        assert not (source(spec, "/c") / "l").exists()
        assert (source(spec, "/s") / "p").stat().st_mode & 0o777 == 0o400
        assert [p for p in source(spec, "/o").iterdir() if not p.name.startswith("..")] == []


async def test_a_changed_config_map_changes_the_files_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.api.create(
            CONFIGMAPS, {"metadata": {"name": "cm"}, "data": {"k": "v", "l": "w"}}, "default"
        )
        mounts = [{"name": "c", "mountPath": "/c"}]
        await rig.create(
            container("a", volumeMounts=mounts), volumes=[{"name": "c", "configMap": {"name": "cm"}}]
        )
        await rig.until_ready()
        folder = source(rig.runtime.started[0], "/c")
        await rig.api.patch(CONFIGMAPS, "cm", {"data": {"k": "new", "l": None, "m": "more"}}, "default")
        await asyncio.sleep(0.1)
        found = {p.name: p.read_text() for p in folder.iterdir() if not p.name.startswith("..")}
        assert found == {"k": "new", "m": "more"}
        assert len([p for p in folder.iterdir() if p.name.startswith("..")]) == 2


async def test_a_missing_config_map_is_waited_for(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        await rig.create(container("a"), volumes=[{"name": "c", "configMap": {"name": "cm"}}])
        await asyncio.sleep(1)
        assert await rig.events("FailedMount") == [
            'FailedMount : MountVolume.SetUp failed for volume "c" : configmap "cm" not found'
        ]
        await rig.api.create(CONFIGMAPS, {"metadata": {"name": "cm"}, "data": {}}, "default")
        assert await rig.until_ready() < 0.2


async def test_annotations_as_files_follow_the_pod(tmp_path: Path) -> None:
    item = {"path": "notes", "fieldRef": {"fieldPath": "metadata.annotations"}}
    projected = {"sources": [{"downwardAPI": {"items": [item]}}, {"serviceAccountToken": {"path": "t"}}]}
    async with running(tmp_path) as rig:
        mounts = [{"name": "p", "mountPath": "/p"}]
        pod = container("a", volumeMounts=mounts)
        await rig.create(pod, annotations={"k": 'a "b"'}, volumes=[{"name": "p", "projected": projected}])
        await rig.until_ready()
        folder = source(rig.runtime.started[0], "/p")
        assert (folder / "notes").read_text() == 'k="a \\"b\\""'
        assert (folder / "t").read_text() == "TOKEN"
        await rig.api.patch(PODS, "pod", {"metadata": {"annotations": {"k": "2"}}}, "default")
        await asyncio.sleep(0.1)
        assert (folder / "notes").read_text() == 'k="2"'
