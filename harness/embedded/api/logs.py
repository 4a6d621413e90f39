"""The log subresource: a container's log as plain text, to its end or as it grows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from aiohttp import web

from harness.embedded.api.exec import chosen_container
from harness.embedded.api.negotiation import truth, whole
from harness.embedded.api.refusals import bad_request
from harness.embedded.seams import LogOptions, Node, Object

REFUSED_WITHIN_S = (
    0.2  # an error known by then is answered as a Status, also where a followed log is still silent
)


def log_options(query: Mapping[str, str]) -> LogOptions:
    """The query as options; ApiError 400."""
    numbers = {
        name: whole(query[name], name)
        for name in ("tailLines", "limitBytes", "sinceSeconds")
        if query.get(name)
    }
    if any(value < 0 for value in numbers.values()):
        raise bad_request(f"log options have to be positive numbers: {numbers}")
    if "sinceSeconds" in numbers and query.get("sinceTime"):
        raise bad_request("at most one of sinceTime or sinceSeconds may be specified")
    return LogOptions(
        follow=truth(query, "follow"),
        previous=truth(query, "previous"),
        tail_lines=numbers.get("tailLines"),
        since_seconds=numbers.get("sinceSeconds"),
        since_time=query.get("sinceTime") or None,
        timestamps=truth(query, "timestamps"),
        limit_bytes=numbers.get("limitBytes"),
    )


async def serve(
    request: web.BaseRequest, node: Node, pod: Object, query: Mapping[str, str]
) -> web.StreamResponse:
    """Streams the log; ApiError from the node before anything was sent."""
    options = log_options(query)
    container = chosen_container(pod, query.get("container", ""), running=False)
    metadata = pod["metadata"]
    chunks = aiter(node.logs(metadata["namespace"], metadata["name"], container, options))
    first = asyncio.ensure_future(_next(chunks))
    try:
        await asyncio.wait([first], timeout=REFUSED_WITHIN_S)
        if first.done():
            first.result()
        response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
        await response.prepare(request)
        if (chunk := await first) is not None:
            await response.write(chunk)
            async for chunk in chunks:
                await response.write(chunk)
        await response.write_eof()
        return response
    finally:
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        if close := getattr(chunks, "aclose", None):
            await close()


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    return await anext(chunks, None)
