"""Requests of the user's own to a workload of the user's own: composed from a document, judged by what it expects.

The document is JSON, `harness/loadspec.py` describes it: {"requests": [{method, path, headers, body, expect}]}.
Whether the application executed a request nobody but its user knows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from loadtests.client import Address, Answer, Fault
from loadtests.compose import Compose


@dataclass(frozen=True)
class SpecRequest:
    """A request as bytes, and what makes its answer right."""

    method: str
    data: bytes
    expect: dict[str, Any]

    def fault(self, answer: Answer) -> Fault | None:
        """What is wrong with a whole answer."""
        expect = self.expect
        if answer.status not in expect["status"]:
            return Fault("status", f"status {answer.status}")
        for name, value in expect["headers"].items():
            if answer.headers.get(name.lower().encode()) != value.encode():
                return Fault("corrupted", f"the answer's header {name} is not {value}")
        if expect["body"] is not None and answer.body != expect["body"].encode():
            return Fault("corrupted", "the answer's body is not the one expected")
        if expect["contains"] is not None and expect["contains"].encode() not in answer.body:
            return Fault("corrupted", "the answer's body lacks what it has to contain")
        return None


def composer(document: str, *, reuses: bool) -> Compose:
    """Draws from the document's requests; on a connection of its own each says that it is the last."""
    requests: Sequence[dict[str, Any]] = json.loads(document)["requests"]

    def compose(address: Address, request_id: bytes, random: Random) -> SpecRequest:
        chosen = random.choice(requests)
        body = chosen["body"].encode()
        lines = [
            f"{chosen['method']} {chosen['path']} HTTP/1.1".encode(),
            b"Host: " + address.authority,
            b"x-request-id: " + request_id,
            *(f"{name}: {value}".encode() for name, value in chosen["headers"].items()),
        ]
        if body:
            lines.append(b"Content-Length: %d" % len(body))
        if not reuses:
            lines.append(b"Connection: close")
        return SpecRequest(chosen["method"], b"\r\n".join(lines) + b"\r\n\r\n" + body, chosen["expect"])

    return compose
