"""A Docker engine: builds, tags, saves and loads images. Knows nothing of what is in them.

Speaks the engine's own API (docker SDK): the classic builder, which every engine since 20.10 has. It makes no
provenance attestations, with which an image may fail to load into a cluster's nodes.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, BuildError, DockerException, ImageNotFound
from requests.exceptions import RequestException

from harness.errors import ClusterError, InputError

TIMEOUT_S = 600  # a base with its packages on a slow machine
CHUNK_BYTES = 1 << 20
BASE_NAME = "org.opencontainers.image.base.name"
TOLD_LINES = 15  # of a build's output
INSTALL = "install Docker (docs.docker.com/engine/install, or your distribution's docker.io) and start it"


@dataclass(frozen=True)
class Built:
    """An image of the engine; `size` in bytes, all layers.

    `base` is the image from elsewhere that it is made from, as its label says.
    """

    ref: str
    id: str
    size: int
    base: str | None = None


class Engine:
    """Use: `connect`, then the rest. Everything raises ClusterError when the engine fails."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def build(
        self,
        context: bytes,
        ref: str,
        *,
        arguments: Mapping[str, str],
        labels: Mapping[str, str],
        network: str | None,
    ) -> Built:
        """Builds a context and names the result; ClusterError with the last lines of its output."""
        try:
            image, _ = self._client.images.build(
                fileobj=io.BytesIO(context),
                custom_context=True,
                tag=ref,
                buildargs=dict(arguments),
                labels=dict(labels),
                network_mode=network,
                rm=True,
                forcerm=True,
            )
        except BuildError as error:
            lines = [str(part["stream"]).rstrip() for part in error.build_log if part.get("stream")]
            told = "".join(f"\n  {line}" for line in lines[-TOLD_LINES:] if line)
            raise ClusterError(f"image {ref} cannot be built: {error.msg}{told}") from error
        except (DockerException, RequestException) as error:
            raise ClusterError(f"image {ref} cannot be built: {_words(error)}") from error
        return _built(ref, image)

    def find(self, ref: str) -> Built | None:
        """The image of that name, if the engine has it."""
        with _talking(f"look for image {ref}"):
            try:
                return _built(ref, self._client.images.get(ref))
            except ImageNotFound:
                return None

    def pull(self, ref: str) -> bool:
        """Pulls an image from its registry; False if that has none, or cannot be reached."""
        try:
            self._client.images.pull(ref)
        except (DockerException, RequestException):
            return False
        return True

    def over_base(self, image: Built) -> int | None:
        """Bytes that it has over its base; None if the engine does not have that (BuildKit keeps it to itself)."""
        base = self.find(image.base) if image.base else None
        return None if base is None else image.size - base.size

    def tag(self, ref: str, alias: str) -> None:
        """Gives an image another name."""
        repository, _, tag = alias.rpartition(":")
        with _talking(f"tag image {ref} as {alias}"):
            self._client.images.get(ref).tag(repository, tag)

    def save(self, refs: Sequence[str], to: Path) -> None:
        """One archive with all of them under these names, as `docker save` writes it; whole or not there."""
        partial = to.with_name(f".{to.name}.partial")
        try:
            with _talking(f"save {len(refs)} images"), partial.open("wb") as stream:
                api = self._client.api  # its own get_image takes one image only
                where = f"{api.base_url}/v{api.api_version}/images/get"
                answer = api.get(where, params={"names": list(refs)}, stream=True, timeout=TIMEOUT_S)
                answer.raise_for_status()
                for chunk in answer.iter_content(CHUNK_BYTES):
                    stream.write(chunk)
            partial.replace(to)
        except OSError as error:
            raise InputError(f"{to}: {error.strerror}; name a file that you can write") from error
        finally:
            partial.unlink(missing_ok=True)

    def load(self, archive: Path) -> list[str]:
        """Loads an archive; returns the names in it. InputError if it is none."""
        names = names_in(archive)
        with _talking(f"load {archive}"), archive.open("rb") as stream:
            self._client.images.load(stream)
        return names


def connect() -> Engine:
    """The engine that DOCKER_HOST or the usual socket leads to; ClusterError says what to install."""
    try:
        client = docker.from_env(timeout=TIMEOUT_S)
        client.ping()
    except (DockerException, RequestException) as error:
        raise ClusterError(f"no Docker engine answers ({_words(error)}); {INSTALL}") from error
    return Engine(client)


def names_in(archive: Path) -> list[str]:
    """The names of the images in an archive of `docker save`; InputError if it is none."""
    try:
        with tarfile.open(archive) as tar:
            member = tar.extractfile("manifest.json")
            assert member is not None
            return [name for image in json.load(member) for name in image["RepoTags"] or []]
    except OSError as error:
        raise InputError(f"{archive}: {error.strerror or error}; give an archive of images save") from error
    except (tarfile.TarError, KeyError, TypeError, ValueError, AssertionError) as error:
        raise InputError(f"{archive}: no archive of images; make one with hotupgrade images save") from error


def _built(ref: str, image: Any) -> Built:
    labels = image.attrs["Config"]["Labels"] or {}
    return Built(ref=ref, id=image.id, size=image.attrs["Size"], base=labels.get(BASE_NAME))


def _words(error: Exception) -> str:
    text = error.explanation if isinstance(error, APIError) and error.explanation else str(error)
    return " ".join(str(text).split())[:300]


@contextmanager
def _talking(what: str) -> Iterator[None]:
    try:
        yield
    except (DockerException, RequestException) as error:
        raise ClusterError(f"cannot {what}: {_words(error)}") from error
