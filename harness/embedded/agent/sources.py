"""ConfigMaps and Secrets as variables and files take them. Knows nothing of what is made of them."""

from __future__ import annotations

import base64
from typing import Literal

from harness.embedded.seams import CONFIGMAPS, SECRETS, Api, ApiError, Object

SourceKind = Literal["configmap", "secret"]


class SourceError(Exception):
    """A ConfigMap or Secret, or a key of one, is not there; the message is the kubelet's."""


class Sources:
    """Reads the ConfigMaps and Secrets of one namespace."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api, self._namespace = api, namespace

    async def data(self, kind: SourceKind, name: str, optional: bool = False) -> dict[str, bytes] | None:
        """All of its keys; None when it is missing and optional, SourceError when it is missing and not."""
        try:
            body = await self._api.get(SECRETS if kind == "secret" else CONFIGMAPS, name, self._namespace)
        except ApiError as error:
            if error.code != 404:
                raise SourceError(error.message) from error
            if optional:
                return None
            raise SourceError(f'{kind} "{name}" not found') from error
        return _decoded(body, kind)

    async def key(self, kind: SourceKind, reference: Object) -> str | None:
        """The value of a configMapKeyRef or secretKeyRef; None when it is missing and optional."""
        name, key, optional = reference.get("name", ""), reference["key"], bool(reference.get("optional"))
        data = await self.data(kind, name, optional)
        if data is None:
            return None
        if key not in data:
            if optional:
                return None
            called = "ConfigMap" if kind == "configmap" else "Secret"
            raise SourceError(f"couldn't find key {key} in {called} {self._namespace}/{name}")
        return data[key].decode(errors="replace")


def _decoded(body: Object, kind: SourceKind) -> dict[str, bytes]:
    data = body.get("data") or {}
    if kind == "secret":
        return {key: base64.b64decode(value) for key, value in data.items()}
    binary = {key: base64.b64decode(value) for key, value in (body.get("binaryData") or {}).items()}
    return {key: str(value).encode() for key, value in data.items()} | binary
