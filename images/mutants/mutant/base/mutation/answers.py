"""Answers of the application, for faults that change the body of one of them now and then: of those with a length."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

from mutation import Original, replaces
from sidecar.proxy.head import Request, Response
from sidecar.proxy.upstream import Asker, UpstreamConnection

_LENGTH = re.compile(rb"(?im)^(content-length: *)\d+")
Change = Callable[[bytes], bytes]


class Changing:
    """Whoever asked, who gets the last piece of a body as `change` makes it, under a head that agrees."""

    def __init__(self, asker: Asker, longer: int, change: Change) -> None:
        self._asker, self._longer, self._change = asker, longer, change
        self._left = 0  # bytes of the body still to come

    def __getattr__(self, name: str) -> Any:
        return getattr(self._asker, name)

    def response_head(self, response: Response, complete: bool) -> bytes:
        """See Asker."""
        self._left = max(response.length, 0)
        if self._left:
            size = rb"\g<1>%d" % (response.length + self._longer)
            forward, framing = (_LENGTH.sub(size, part) for part in (response.forward, response.framing))
            response = response._replace(forward=forward, framing=framing)
        return self._asker.response_head(response, complete)

    def response_data(self, head: bytes, data: bytes) -> None:
        """See Asker."""
        if data and self._left:
            self._left -= len(data)
            data = data if self._left else self._change(data)
        self._asker.response_data(head, data)


def changes_one_in(interval: int, longer: int = 0) -> Callable[[Change], Change]:
    """The decorated function changes the last piece of each so-manieth body, which is `longer` by it."""

    def decorate(change: Change) -> Change:
        numbers = itertools.count(1)

        @replaces(UpstreamConnection, "start")
        def start(
            original: Original, upstream: UpstreamConnection, client: Asker, request: Request, data: bytes
        ) -> None:
            strikes = next(numbers) % interval == 0
            original(upstream, Changing(client, longer, change) if strikes else client, request, data)

        return change

    return decorate
