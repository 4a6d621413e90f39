"""Calls a webhook as its clientConfig says: HTTPS to a URL, trusted by the caBundle. Knows nothing of what
is reviewed.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import ssl
from collections import OrderedDict

import aiohttp

from harness.embedded.seams import Object

TOLD_BYTES = 200  # of an answer that is an error
REMEMBERED_CONTEXTS = 64  # a TLS context costs milliseconds to make; there are a handful of webhooks


class CallFailed(Exception):
    """The webhook was not reached or did not answer with a review; the message says which."""


class Caller:
    """Keeps connections to webhooks. Has to be closed."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._contexts: OrderedDict[str, ssl.SSLContext] = OrderedDict()

    async def call(self, client_config: Object, review: Object, timeout_s: float) -> Object:
        """The review that comes back; CallFailed."""
        url = client_config.get("url")
        if not url:
            raise CallFailed(
                "the embedded cluster has no service network for clientConfig.service; use clientConfig.url"
            )
        if not url.startswith("https://"):
            raise CallFailed(f"clientConfig.url has to begin with https://, not {url!r}")
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        context = self._context(client_config.get("caBundle") or "")
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._session.post(url, json=review, ssl=context, allow_redirects=False) as response,
            ):
                body = await response.read()
                if response.status != 200:
                    told = body[:TOLD_BYTES].decode(errors="replace")
                    raise CallFailed(f'Post "{url}": the server answered {response.status}: {told}')
        except TimeoutError:
            raise CallFailed(f'Post "{url}": context deadline exceeded ({timeout_s:g} s)') from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise CallFailed(f'Post "{url}": {error}') from error
        return _review(body, url)

    def _context(self, bundle: str) -> ssl.SSLContext:
        context = self._contexts.get(bundle)
        if context is None:
            try:
                authorities = base64.b64decode(bundle).decode() or None
                context = ssl.create_default_context(cadata=authorities)
            except (binascii.Error, ValueError, ssl.SSLError) as error:
                raise CallFailed(
                    f"clientConfig.caBundle is not a base64-encoded PEM certificate: {error}"
                ) from error
            self._contexts[bundle] = context
            if len(self._contexts) > REMEMBERED_CONTEXTS:
                self._contexts.popitem(last=False)
        return context

    async def close(self) -> None:
        """Closes every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def _review(body: bytes, url: str) -> Object:
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise CallFailed(f'Post "{url}": the answer is not JSON: {error}') from error
    if not isinstance(answer, dict) or not isinstance(answer.get("response"), dict):
        raise CallFailed(f'Post "{url}": the answer has no response')
    return answer
