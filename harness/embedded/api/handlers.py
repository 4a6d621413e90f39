"""From an HTTP request to a verb of the engine, and from its outcome to a response. Knows nothing of
sockets or TLS.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from harness.embedded.api import discovery, exec, following, logs, negotiation, patch, proxy, strategic
from harness.embedded.api.engine import Edit, Engine
from harness.embedded.api.negotiation import Wanted
from harness.embedded.api.paths import Target, target
from harness.embedded.api.refusals import (
    bad_request,
    expired,
    internal,
    not_allowed,
    status_of,
    success,
    unknown_path,
    unsupported,
)
from harness.embedded.api.resources import Kind
from harness.embedded.api.selectors import Selector
from harness.embedded.api.storage import Stored
from harness.embedded.api.table import table
from harness.embedded.api.workloads import scale_of
from harness.embedded.seams import ApiError, Node, Object

LOGGER = logging.getLogger(__name__)
OPEN_PATHS = ("/healthz", "/livez", "/readyz", "/version")  # answered to everybody
RETURNED_WHEN_GONE = (
    "pods",
    "serviceaccounts",
    "services",
)  # a deletion answers with the object, else with a Status
NOT_HERE = {
    "portforward": "port-forward; use the pod proxy, /api/v1/namespaces/NS/pods/NAME:PORT/proxy/",
    "attach": "attach; use exec or logs",
    "ephemeralcontainers": "ephemeral containers; use exec",
    "resize": "resizing pods in place",
    "token": "service account tokens; the cluster's one token is in the kubeconfig",
    "approval": "certificate signing requests",
}
Serve = Callable[["Call"], Awaitable[web.StreamResponse]]


class Call:
    """One request to a resource."""

    def __init__(self, request: web.BaseRequest, target: Target, kind: Kind, wanted: Wanted) -> None:
        self.request, self.target, self.kind, self.wanted = request, target, kind, wanted
        self.query: Mapping[str, str] = request.rel_url.query

    @property
    def namespace(self) -> str | None:
        """Where to look; None for everywhere."""
        return self.target.namespace or None

    async def body(self) -> Any:
        """The body as JSON; ApiError 400, 415."""
        return negotiation.parsed(await self.request.read(), self.request.headers.get("Content-Type", ""))

    def selector(self) -> Selector:
        """What the query selects; ApiError 400."""
        return Selector(
            self.kind.resource, self.query.get("labelSelector", ""), self.query.get("fieldSelector", "")
        )


class Handlers:
    """Serves every request."""

    def __init__(self, engine: Engine, token: str, version: Object) -> None:
        self._engine, self._token, self._version = engine, token, version
        self._discovery = discovery.Discovery(engine.registry)
        self._proxy = proxy.PodProxy()
        self._node: Node | None = None

    def attach_node(self, node: Node) -> None:
        """Who runs the pods, for logs, exec and the node's own proxy."""
        self._node = node

    async def close(self) -> None:
        """Closes connections to pods."""
        await self._proxy.close()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """The response to a request; every refusal is a Status."""
        try:
            return await self._serve(request)
        except ApiError as error:
            return _json(status_of(error), error.code)
        except web.HTTPRequestEntityTooLarge as error:
            message = f"limit is {error.text or 'exceeded'}"
            return _json(status_of(ApiError(413, "RequestEntityTooLarge", message)), 413)
        except (ConnectionError, asyncio.CancelledError):
            raise  # the client has gone
        except Exception as error:
            LOGGER.exception("%s %s", request.method, request.path)
            return _json(status_of(internal(f"{type(error).__name__}: {error}")), 500)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path.rstrip("/") or "/"  # clients ask for /version/ as well
        if path in OPEN_PATHS or path.startswith(("/livez/", "/readyz/", "/healthz/")):
            return _json(self._version) if path == "/version" else web.Response(text="ok")
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(shown.encode(), self._token.encode()):
            raise ApiError(401, "Unauthorized", "Unauthorized")
        wanted = negotiation.wanted(request.headers.get("Accept", ""))
        found = target(request.rel_url.raw_path)
        if found is None:
            return self._document(request, path.rstrip("/"), wanted)
        if found.group == discovery.REVIEWS:
            return await self._review(request, found)
        kind = self._engine.registry.find(found.group, found.version, found.plural)
        return await self._route(Call(request, found, kind, wanted))

    # -- documents -------------------------------------------------------------------------------------------

    def _document(self, request: web.BaseRequest, path: str, wanted: Wanted) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            raise not_allowed(request.method, path)
        match path.split("/")[1:]:
            case ["api" | "apis" as root] if wanted.discovery:
                kind = f"g=apidiscovery.k8s.io;v={wanted.discovery};as={discovery.AGGREGATED}"
                document = self._discovery.aggregated(root == "api", wanted.discovery)
                return _json(document, content_type=f"{negotiation.JSON};{kind}")
            case ["api"]:
                return _json(self._discovery.core_versions())
            case ["apis"]:
                return _json(self._discovery.group_list())
            case ["apis", group]:
                return _json(self._discovery.group(group))
            case ["api", version]:
                return _json(self._discovery.resources("", version))
            case ["apis", group, version]:
                return _json(self._discovery.resources(group, version))
            case ["openapi", "v3"]:
                return _json(self._discovery.openapi_index())
            case ["openapi", "v3", "api", version]:
                return _json(self._discovery.openapi("", version, self._version["gitVersion"]))
            case ["openapi", "v3", "apis", group, version]:
                return _json(self._discovery.openapi(group, version, self._version["gitVersion"]))
            case [] | [""]:
                return _json(
                    {"paths": ["/api", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]}
                )
        raise unknown_path(path)

    async def _review(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        if (target.plural, request.method) != ("selfsubjectaccessreviews", "POST"):
            raise unknown_path(request.path)
        body: Any = {}
        if request.headers.get("Content-Type") != negotiation.PROTOBUF:  # the question matters to nobody
            body = negotiation.parsed(await request.read(), request.headers.get("Content-Type", ""))
        if not isinstance(body, dict):
            raise bad_request("the body has to be a SelfSubjectAccessReview")
        body = {"kind": discovery.REVIEW_KIND.kind, "apiVersion": discovery.REVIEW_KIND.api_version, **body}
        return _json(
            {**body, "status": {"allowed": True, "reason": "the embedded cluster allows everything"}}, 201
        )

    # -- resources -------------------------------------------------------------------------------------------

    async def _route(self, call: Call) -> web.StreamResponse:
        if call.target.namespace and not call.kind.namespaced:
            raise unknown_path(call.request.path)
        if not call.target.name:
            return await self._collection(call)
        part = call.target.subresource
        if part in NOT_HERE:
            raise unsupported(NOT_HERE[part])
        if part == "proxy" and call.kind.plural not in ("pods", "nodes"):
            raise unsupported(f"the proxy of {call.kind.plural}; use that of pods")
        if part and part not in call.kind.subresources:
            raise unknown_path(call.request.path)
        if part == "proxy" and call.kind.plural == "nodes":
            return await self._node_proxy(call)
        if part in ("log", "exec", "proxy", "binding", "eviction"):
            return await self._pod_part(call, part)
        return await self._object(call, part)

    async def _collection(self, call: Call) -> web.StreamResponse:
        match call.request.method:
            case "GET" | "HEAD" if negotiation.truth(call.query, "watch"):
                return await self._watch(call)
            case "GET" | "HEAD":
                return await self._list(call)
            case "POST":
                options = negotiation.options(call.query)
                body = await call.body()
                return self._shown(
                    call, await self._engine.create(call.kind, call.target.namespace, body, options), 201
                )
            case "DELETE":
                return await self._delete_collection(call)
        raise not_allowed(call.request.method, call.kind.plural)

    async def _object(self, call: Call, part: str) -> web.StreamResponse:
        kind, namespace, name = call.kind, call.target.namespace, call.target.name
        if kind.namespaced and not namespace:
            raise bad_request(f"{kind.plural} are in namespaces; the path has none")
        match call.request.method:
            case "GET" | "HEAD" if part != "finalize":
                return self._shown(call, await self._engine.get(kind, namespace, name))
            case "PUT":
                body = await call.body()
                edit: Edit = lambda _: body  # noqa: E731
            case "PATCH" if part != "finalize":
                edit = await self._patch(call)
            case "DELETE" if not part:
                return await self._delete(call)
            case method:
                raise not_allowed(method, f"{kind.plural}/{part}" if part else kind.plural)
        options = negotiation.options(call.query)
        return self._shown(call, await self._engine.update(kind, namespace, name, edit, part, options))

    async def _patch(self, call: Call) -> Edit:
        media_type = call.request.headers.get("Content-Type", "").partition(";")[0].strip()
        shape = None if call.kind.custom else strategic.shape_of(call.kind.resource)
        if media_type in patch.APPLY_PATCH:
            patch.apply({}, {}, media_type, shape)  # refuses, before a body that need not be JSON is read
        body = await call.body()
        return lambda object: patch.apply(object, body, media_type, shape)

    async def _list(self, call: Call) -> web.StreamResponse:
        revision = self._engine.storage.revision
        asked = call.query.get("resourceVersion", "")
        if call.query.get("resourceVersionMatch") == "Exact" and asked != str(revision):
            raise expired(f"the embedded cluster keeps no past lists: {asked} is not the newest ({revision})")
        found = await self._engine.select(call.kind, call.namespace, call.selector())
        if call.wanted.form == "table":
            objects = [stored.object for stored in found]
            return _json(
                table(call.kind, objects, str(revision), include=call.query.get("includeObject", "Metadata"))
            )
        title, api_version = f"{call.kind.kind}List", call.kind.api_version
        if call.wanted.form == "metadata":
            title, api_version = "PartialObjectMetadataList", "meta.k8s.io/v1"
            items = ",".join(json.dumps(following.metadata_only(stored.object)) for stored in found).encode()
        else:
            items = b",".join(stored.text for stored in found)
        head = json.dumps(
            {"kind": title, "apiVersion": api_version, "metadata": {"resourceVersion": str(revision)}}
        )
        return _text(head[:-1].encode() + b',"items":[' + items + b"]}")

    async def _watch(self, call: Call) -> web.StreamResponse:
        watch = following.asked(call.kind, call.namespace, call.selector(), call.wanted, call.query)
        response = web.StreamResponse(headers={"Content-Type": negotiation.JSON})
        await response.prepare(call.request)
        lines = following.lines(self._engine, watch)
        try:
            async for text in lines:
                await response.write(text)
            await response.write_eof()
        finally:
            await lines.aclose()  # type: ignore[attr-defined]  # it is a generator, which also has to end now
        return response

    async def _delete(self, call: Call) -> web.StreamResponse:
        body = await call.body() if call.request.body_exists else None
        options = negotiation.options(call.query, body)
        stored, gone = await self._engine.delete(call.kind, call.target.namespace, call.target.name, options)
        if not gone or call.kind.plural in RETURNED_WHEN_GONE:
            return self._shown(call, stored)
        metadata = stored.object["metadata"]
        details = {
            "name": metadata["name"],
            "group": call.kind.group,
            "kind": call.kind.plural,
            "uid": metadata["uid"],
        }
        return _json(success(details))

    async def _delete_collection(self, call: Call) -> web.StreamResponse:
        body = await call.body() if call.request.body_exists else None
        options = negotiation.options(call.query, body)
        found = await self._engine.select(call.kind, call.namespace, call.selector())
        for stored in found:
            metadata = stored.object["metadata"]
            try:
                await self._engine.delete(call.kind, metadata.get("namespace", ""), metadata["name"], options)
            except ApiError as error:
                if error.code != 404:  # somebody else deleted it meanwhile
                    raise
        return _json(success())

    # -- parts of pods ---------------------------------------------------------------------------------------

    async def _pod_part(self, call: Call, part: str) -> web.StreamResponse:
        name, port = proxy.pod_and_port(call.target.name) if part == "proxy" else (call.target.name, "")
        namespace, method = call.target.namespace, call.request.method
        if part in ("binding", "eviction"):
            if method != "POST":
                raise not_allowed(method, f"pods/{part}")
            return await self._bind_or_evict(call, part)
        pod = (await self._engine.get(call.kind, namespace, name)).object
        if part == "proxy":
            return await self._proxy.carry(call.request, pod, proxy.port_of(pod, port), call.target.rest)
        node = self._attached()
        if part == "log" and method == "GET":
            return await logs.serve(call.request, node, pod, call.query)
        if part == "exec" and method in ("GET", "POST"):
            command = call.request.rel_url.query.getall("command", [])
            return await exec.run(call.request, node, pod, call.query, command)
        raise not_allowed(method, f"pods/{part}")

    def _attached(self) -> Node:
        if self._node is None:
            raise ApiError(503, "ServiceUnavailable", "no node is running yet")
        return self._node

    async def _node_proxy(self, call: Call) -> web.StreamResponse:
        """What the node's agent serves itself: POST `restart` restarts it, and is answered when it works again."""
        await self._engine.get(call.kind, "", call.target.name)
        if call.target.rest != "restart":
            raise unsupported("the proxy of nodes, but for POST /api/v1/nodes/NAME/proxy/restart")
        if call.request.method != "POST":
            raise not_allowed(call.request.method, "nodes/proxy")
        await self._attached().restart()
        return web.Response(text="ok")

    async def _bind_or_evict(self, call: Call, part: str) -> web.StreamResponse:
        body = await call.body()
        namespace, name = call.target.namespace, call.target.name
        if part == "binding":
            await self._engine.bind(namespace, name, body, negotiation.options(call.query))
        else:
            wish = body.get("deleteOptions") if isinstance(body, dict) else None
            await self._engine.delete(call.kind, namespace, name, negotiation.options(call.query, wish))
        return _json(success(), 201)

    # -- responses -------------------------------------------------------------------------------------------

    def _shown(self, call: Call, stored: Stored, code: int = 200) -> web.StreamResponse:
        if call.target.subresource == "scale":
            return _json(scale_of(stored.object), code)
        if call.wanted.form == "table":
            include = call.query.get("includeObject", "Metadata")
            return _json(table(call.kind, [stored.object], str(stored.revision), include=include), code)
        if call.wanted.form == "metadata":
            return _json(following.metadata_only(stored.object), code)
        return _text(stored.text, code)


def _json(object: Object, code: int = 200, content_type: str = negotiation.JSON) -> web.StreamResponse:
    return _text(json.dumps(object, separators=(",", ":")).encode(), code, content_type)


def _text(body: bytes, code: int = 200, content_type: str = negotiation.JSON) -> web.StreamResponse:
    return web.Response(body=body, status=code, headers={"Content-Type": content_type})
