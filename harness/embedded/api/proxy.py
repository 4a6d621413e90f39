"""The proxy subresource of pods: an HTTP request, carried to the pod's own address and back as it flows.

`NAME`, `NAME:PORT` and `http:NAME:PORT` name the pod. One connection per request: a pod's connections are
never re-used, so a proxy adds no failures of its own.
"""

from __future__ import annotations

from collections.abc import Iterable

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from harness.embedded.api.refusals import bad_request, unsupported
from harness.embedded.seams import ApiError, Object

CONNECT_TIMEOUT_S = 5.0  # a pod is one network hop away, on this machine
DEFAULT_PORT = 80
CHUNK_BYTES = 65536
# Headers that belong to one connection, and the credentials of this server, stay behind.
HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
    )
) | {"upgrade", "host", "authorization"}


def pod_and_port(name: str) -> tuple[str, str]:
    """The pod's name and the port that is asked for, "" for its first; ApiError 400, 501."""
    parts = name.split(":")
    if len(parts) == 3:
        scheme, *parts = parts
        if scheme not in ("", "http"):
            raise unsupported(f"pod proxy with scheme {scheme}; use http")
    if len(parts) > 2 or not parts[0]:
        raise bad_request(f"invalid pod request {name!r}; use NAME or NAME:PORT")
    return parts[0], parts[1] if len(parts) == 2 else ""


def port_of(pod: Object, asked: str) -> int:
    """The number of a port: given, by its name, or the first one; ApiError 400."""
    ports = [port for item in pod["spec"].get("containers") or () for port in item.get("ports") or ()]
    if not asked:
        return int(ports[0]["containerPort"]) if ports else DEFAULT_PORT
    if asked.isdigit():
        return int(asked)
    for port in ports:
        if port.get("name") == asked:
            return int(port["containerPort"])
    raise bad_request(f"pod {pod['metadata']['name']} has no port named {asked!r}")


class PodProxy:
    """Carries requests to pods. Has to be closed."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def carry(self, request: web.BaseRequest, pod: Object, port: int, path: str) -> web.StreamResponse:
        """The pod's answer, streamed; ApiError 503 when the pod cannot be reached, 501 for an upgrade."""
        address = (pod.get("status") or {}).get("podIP")
        if not address:
            raise _unreachable(f"pod {pod['metadata']['name']} has no address yet")
        if request.headers.get("Upgrade"):
            raise unsupported("an upgrade through the pod proxy; connect to the pod's own address")
        query = request.rel_url.raw_query_string
        url = URL(f"http://{address}:{port}/{path}" + (f"?{query}" if query else ""), encoded=True)
        body = request.content if request.body_exists else None
        try:
            upstream = await self._opened().request(
                request.method, url, data=body, headers=_passed(request.headers), allow_redirects=False
            )
        except (aiohttp.ClientError, OSError) as error:
            raise _unreachable(f"error trying to reach service: {error}") from error
        async with upstream:
            response = web.StreamResponse(
                status=upstream.status, reason=upstream.reason, headers=_passed(upstream.headers)
            )
            await response.prepare(request)
            try:
                async for chunk in upstream.content.iter_chunked(CHUNK_BYTES):
                    await response.write(chunk)
            except (aiohttp.ClientError, OSError):
                if request.transport is not None:
                    request.transport.abort()  # so that the client sees that it broke off
                return response
            await response.write_eof()
            return response

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True, limit=0),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Content-Type", "Accept", "Accept-Encoding"),
            )
        return self._session

    async def close(self) -> None:
        """Closes every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def _passed(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    named: Iterable[str] = (name.strip().lower() for name in headers.get("Connection", "").split(","))
    dropped = HOP_BY_HOP | set(named)
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in dropped)


def _unreachable(message: str) -> ApiError:
    return ApiError(503, "ServiceUnavailable", message)
