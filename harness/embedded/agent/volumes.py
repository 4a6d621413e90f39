"""A pod's directory on the node: its volumes, its shared memory and its containers' logs.

Files that come from objects are written as a kubelet writes them: into a directory of their own behind the
link `..data`, which is swapped at once, so that a reader sees one version or the other. Knows nothing of
containers' processes.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.embedded.agent.environment import expand
from harness.embedded.agent.fields import Facts, FieldError, field, resource
from harness.embedded.agent.sources import SourceError, Sources
from harness.embedded.seams import Mount, Object

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
DEFAULT_MODE = 0o644
SHARED = 0o1777  # like /dev/shm and /tmp: every user of the pod's containers may write
Files = dict[str, tuple[bytes, int]]  # path -> content and mode


class MountFailed(Exception):
    """A volume cannot be made; the message is the event's."""


class SubPathFailed(Exception):
    """A container's mount of part of a volume cannot be made."""


@dataclass(frozen=True)
class Credentials:
    """What a service account's directory holds."""

    ca: str
    token: str


@dataclass(frozen=True)
class _Context:
    pod: Object
    facts: Facts
    sources: Sources
    credentials: Credentials


class Volumes:
    """The directory of one pod below `root`."""

    def __init__(self, root: Path, credentials: Credentials) -> None:
        self.root, self._credentials = root, credentials
        self.shm = root / "shm"

    def log(self, container: str, restarts: int) -> Path:
        """Where the log of one instance goes."""
        folder = self.root / "logs" / container
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{restarts}.log"

    def network_files(self, hostname: str, address: str) -> list[Mount]:
        """/etc/hosts and /etc/resolv.conf, which a kubelet keeps for every pod. The cluster has no name server, and a
        look-up that is refused at once beats one that times out.
        """
        folder = self.root / "network"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "hosts").write_text(f"127.0.0.1\tlocalhost\n{address}\t{hostname}\n")
        (folder / "resolv.conf").write_text("# names outside /etc/hosts are not known here\n")
        return [Mount(folder / name, f"/etc/{name}") for name in ("hosts", "resolv.conf")]

    async def make(self, pod: Object, facts: Facts, sources: Sources) -> None:
        """Makes all volumes, or brings them up to date; MountFailed."""
        self.shm.mkdir(parents=True, exist_ok=True)
        self.shm.chmod(SHARED)
        context = _Context(pod, facts, sources, self._credentials)
        for volume in pod["spec"].get("volumes") or []:
            await self._make_one(volume, context)
        if pod["spec"].get("automountServiceAccountToken", True):
            name = pod["metadata"]["namespace"].encode()
            token, ca = self._credentials.token.encode(), self._credentials.ca.encode()
            files = {"token": token, "ca.crt": ca, "namespace": name}
            self._write(
                self.root / "serviceaccount", {path: (data, DEFAULT_MODE) for path, data in files.items()}
            )

    async def _make_one(self, volume: Object, context: _Context) -> None:
        name, folder = volume["name"], self._folder(volume["name"])
        if unknown := sorted(set(volume) - {"name", "emptyDir", *PAYLOADS}):
            raise MountFailed(f'volume "{name}": {unknown[0]} is not supported by the embedded cluster')
        kind = next((key for key in PAYLOADS if key in volume), None)
        if kind is None:
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o777)
            return
        try:
            files = await PAYLOADS[kind](volume[kind], context)
        except (SourceError, FieldError) as error:
            raise MountFailed(f'MountVolume.SetUp failed for volume "{name}" : {error}') from error
        self._write(folder, files)

    def _folder(self, volume: str) -> Path:
        return self.root / "volumes" / volume

    def _write(self, folder: Path, files: Files) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        link = folder / "..data"
        if link.exists() and _read(link) == files:
            return
        version = folder / f"..{secrets.token_hex(4)}"
        for path, (content, mode) in files.items():
            target = version / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            target.chmod(mode)
        version.mkdir(exist_ok=True)
        former = link.resolve() if link.is_symlink() else None
        os.symlink(version.name, folder / "..data_tmp")
        os.replace(folder / "..data_tmp", link)
        tops = {PurePosixPath(path).parts[0] for path in files}
        for top in tops:
            if not (folder / top).is_symlink():
                os.symlink(f"..data/{top}", folder / top)
        for entry in folder.iterdir():
            if not entry.name.startswith("..") and entry.name not in tops:
                entry.unlink()
        if former is not None:
            shutil.rmtree(former)

    def mounts(self, pod: Object, container: Object, values: Mapping[str, str]) -> list[Mount]:
        """A container's mounts, its service account's last unless it mounts that place itself;
        SubPathFailed."""
        mounts = [self._mount(entry, values) for entry in container.get("volumeMounts") or []]
        automount = pod["spec"].get("automountServiceAccountToken", True)
        if automount and all(mount.target.rstrip("/") != SERVICE_ACCOUNT for mount in mounts):
            mounts.append(Mount(self.root / "serviceaccount", SERVICE_ACCOUNT, read_only=True))
        return mounts

    def _mount(self, entry: Object, values: Mapping[str, str]) -> Mount:
        source, part = self._folder(entry["name"]), entry.get("subPath") or ""
        if entry.get("subPathExpr"):
            part = expand(entry["subPathExpr"], values)
        if part:
            if ".." in PurePosixPath(part).parts or part.startswith("/"):
                raise SubPathFailed(f'subPath "{part}" of volume "{entry["name"]}" leaves the volume')
            source = source / part
            if not source.exists():
                source.mkdir(parents=True)
                source.chmod(0o777)
            source = source.resolve()
        return Mount(source, entry["mountPath"], bool(entry.get("readOnly")))

    def remove(self) -> None:
        """Removes everything."""
        shutil.rmtree(self.root, ignore_errors=True)


def _read(link: Path) -> Files:
    found = (path for path in link.resolve().rglob("*") if path.is_file())
    root = link.resolve()
    return {str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mode & 0o777) for path in found}


def _chosen(data: Mapping[str, bytes] | None, source: Object, mode: int, called: str) -> Files:
    """The keys that a source asks for: its items, or all."""
    if data is None:
        return {}
    items = source.get("items") or [{"key": key, "path": key} for key in data]
    for item in items:
        if item["key"] not in data and not source.get("optional"):
            raise SourceError(f"{called} references non-existent config key: {item['key']}")
    return {
        item["path"]: (data[item["key"]], item.get("mode") or mode) for item in items if item["key"] in data
    }


async def _config_map(source: Object, context: _Context) -> Files:
    data = await context.sources.data("configmap", source.get("name", ""), bool(source.get("optional")))
    return _chosen(data, source, source.get("defaultMode") or DEFAULT_MODE, "configmap")


async def _secret(source: Object, context: _Context) -> Files:
    name = source.get("secretName") or source.get("name", "")
    data = await context.sources.data("secret", name, bool(source.get("optional")))
    return _chosen(data, source, source.get("defaultMode") or DEFAULT_MODE, "secret")


async def _downward(source: Object, context: _Context) -> Files:
    files: Files = {}
    for item in source.get("items") or []:
        if "fieldRef" in item:
            text = field(context.pod, item["fieldRef"]["fieldPath"], context.facts)
        else:
            container = context.pod["spec"]["containers"][0]
            text = resource(context.pod, container, item["resourceFieldRef"], context.facts)
        files[item["path"]] = (text.encode(), item.get("mode") or source.get("defaultMode") or DEFAULT_MODE)
    return files


async def _token(source: Object, context: _Context) -> Files:
    return {source["path"]: (context.credentials.token.encode(), source.get("defaultMode") or DEFAULT_MODE)}


async def _projected(volume: Object, context: _Context) -> Files:
    files: Files = {}
    for source in volume.get("sources") or []:
        kind = next(iter(source))
        if kind not in PROJECTED:
            raise SourceError(f"projected source {kind} is not supported by the embedded cluster")
        part = await PROJECTED[kind]({"defaultMode": volume.get("defaultMode"), **source[kind]}, context)
        files |= part
    return files


Payload = Callable[[Object, _Context], Awaitable[Files]]
PROJECTED: dict[str, Payload] = {
    "configMap": _config_map,
    "secret": _secret,
    "downwardAPI": _downward,
    "serviceAccountToken": _token,
}
PAYLOADS: dict[str, Payload] = {
    "configMap": _config_map,
    "secret": _secret,
    "downwardAPI": _downward,
    "projected": _projected,
}
