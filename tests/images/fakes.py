"""A Docker engine that records what it is asked to do."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from docker.errors import BuildError, ImageNotFound


@dataclass
class FakeDocker:
    """The part of the docker SDK's client that is used; `images` and `api` are itself."""

    built: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    broken: str = ""
    base_url: str = "http+docker://localhost"
    api_version: str = "1.41"
    asked: list[tuple[str, list[str]]] = field(default_factory=list)
    loaded: bytes = b""
    registry: set[str] = field(default_factory=set)

    @property
    def images(self) -> Any:
        return SimpleNamespace(build=self._build, get=self._find, load=self._load, pull=self._pull)

    @property
    def api(self) -> Any:
        return SimpleNamespace(base_url=self.base_url, api_version=self.api_version, get=self._stream)

    def _build(self, *, tag: str, **options: Any) -> tuple[Any, Any]:
        if tag == self.broken:
            raise BuildError("it went wrong", iter([{"stream": "Step 1/2 : FROM nothing\n"}]))
        with tarfile.open(fileobj=options.pop("fileobj")) as context:
            options["files"] = {member.name: member for member in context.getmembers()}
        self.built.append((tag, options))
        self.tags[tag] = f"sha256:{len(self.built):064d}"
        return self._find(tag), iter(())

    def _find(self, ref: str) -> Any:
        if ref not in self.tags:
            raise ImageNotFound(ref)
        return SimpleNamespace(
            id=self.tags[ref],
            attrs={"Size": self.sizes.get(ref, 1000), "Config": {"Labels": self.labels.get(ref)}},
            tag=lambda repo, tag: self._tag(ref, repo, tag),
        )

    def _tag(self, ref: str, repository: str, tag: str) -> None:
        self.tags[f"{repository}:{tag}"] = self.tags[ref]

    def _pull(self, ref: str) -> None:
        if ref not in self.registry:
            raise ImageNotFound(ref)
        self.tags[ref] = "pulled"

    def _load(self, stream: Any) -> None:
        self.loaded = stream.read()

    def _stream(self, url: str, *, params: dict[str, list[str]], **_: Any) -> Any:
        self.asked.append((url, params["names"]))
        return SimpleNamespace(raise_for_status=lambda: None, iter_content=lambda _: [b"arch", b"ive"])


def archive(*names: str) -> bytes:
    """An archive of `docker save`, as far as its names are looked at."""
    text = str([{"RepoTags": list(names)}]).replace("'", '"').encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("manifest.json")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    return buffer.getvalue()
