"""The webhook server: HTTPS routes around the decisions. Knows nothing of what is decided."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import trustme
from aiohttp import web

from harness.sidecarset import admission, conversion
from harness.sidecarset.admit import Admitter
from harness.sidecarset.log import Log
from harness.sidecarset.names import Object

MUTATE_SIDECARSET = "/mutate-apps-kruise-io-sidecarset"
VALIDATE_SIDECARSET = "/validate-apps-kruise-io-sidecarset"
MUTATE_POD = "/mutate-pod"
CONVERT = "/convert"
READY = "/readyz"

MAX_REVIEW_BYTES = 8 * 2**20
"""The API server takes objects of up to 3 MiB, and an update's review holds two."""

Answer = Callable[[Object], Object]


class Certificate:
    """A certificate for one address, and the authority that vouches for it. Lives as long as the process."""

    def __init__(self, address: str) -> None:
        authority = trustme.CA(organization_name="SidecarSet reference webhook")
        self._leaf = authority.issue_cert(address)
        self.authority_pem: bytes = authority.cert_pem.bytes()

    def context(self) -> ssl.SSLContext:
        """For the server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._leaf.configure_cert(context)
        return context


def application(admitter: Admitter, is_ready: Callable[[], bool], log: Log) -> web.Application:
    """All routes. Decisions run in threads: they call the API, which may be waiting for another of our
    answers."""
    reviews: dict[str, Answer] = {
        MUTATE_SIDECARSET: lambda review: admission.admitted(review, admitter.mutate_sidecarset),
        VALIDATE_SIDECARSET: lambda review: admission.admitted(
            review, lambda it: admitter.validate_sidecarset(it)
        ),
        MUTATE_POD: lambda review: admission.admitted(review, admitter.mutate_pod),
        CONVERT: lambda review: admission.converted(review, conversion.converted),
    }
    app = web.Application(client_max_size=MAX_REVIEW_BYTES)
    for path, answer in reviews.items():
        app.router.add_post(path, _handler(path, answer, log))

    async def ready(_: web.Request) -> web.Response:
        return (
            web.Response(text="ok") if is_ready() else web.Response(status=503, text="not ready: registering")
        )

    app.router.add_get(READY, ready)
    return app


def _handler(path: str, answer: Answer, log: Log) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            review = await request.json()
        except ValueError as error:
            return web.Response(status=400, text=f"{path}: not JSON: {error}")
        try:
            result = await asyncio.to_thread(answer, review)
        except admission.BadReview as error:
            return web.Response(status=400, text=f"{path}: {error}")
        except (
            Exception
        ) as error:  # an answer is owed whatever went wrong; the API server shows it to the user
            log("webhook_failed", path=path, error=f"{type(error).__name__}: {error}")
            return web.Response(status=500, text=f"{path}: {type(error).__name__}: {error}")
        _log_decision(path, review, result, log)
        return web.json_response(result)

    return handle


def _log_decision(path: str, review: Object, result: Object, log: Log) -> None:
    response, request = result["response"], review["request"]
    if path == MUTATE_POD and response.get("patch"):
        name = request.get("name") or ((request.get("object") or {}).get("metadata") or {}).get(
            "generateName"
        )
        log("injected", namespace=request.get("namespace"), pod=name)
    elif response.get("allowed") is False:
        log("refused", path=path, name=request.get("name"), message=response["status"]["message"])
