"""Answers that the sidecar gives itself.

They carry `x-sidecar-error`, so that nobody takes them for the application's.
"""

from __future__ import annotations

from http import HTTPStatus

REASONS = {
    "body-limit": "the body is larger than this proxy takes",
    "body-timeout": "the body did not come in time",
    "connect-unsupported": "this listener is no forward proxy",
    "destination": "this destination is not allowed here",
    "header-limit": "the header is larger than this proxy takes",
    "header-timeout": "the header did not come in time",
    "host": "exactly one valid Host is needed",
    "malformed": "this is no HTTP/1 request",
    "method": "this method is unknown",
    "chunks": "the chunked body is malformed",
    "resolve": "the destination's name cannot be resolved",
    "target": "this request target cannot be served",
    "transfer-encoding": "only Transfer-Encoding: chunked is served, and in HTTP/1.1",
    "upstream-closed": "the application closed the connection without an answer",
    "upstream-connect": "the application cannot be reached",
    "upstream-http2": "the application does not speak HTTP/2, as the configuration says it does",
    "upstream-malformed": "the application's answer is no HTTP response",
    "upstream-reset": "the application broke the request off without an answer",
    "upstream-timeout": "the application did not answer in time",
    "version": "only HTTP/1.0 and HTTP/1.1 are served",
}


def answer(status: int, reason: str, stamp: bytes, head: bool = False) -> bytes:
    """A whole response; `stamp` ends its header (fields that every response carries, and the empty line)."""
    text = REASONS[reason].encode() + b"\n"
    return (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"Content-Type: text/plain\r\nContent-Length: {len(text)}\r\nx-sidecar-error: {reason}"
    ).encode() + (stamp if head else stamp + text)
