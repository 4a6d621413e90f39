"""What a client's stream and the application's side of it say to each other, whatever the application speaks."""

from __future__ import annotations

from typing import Protocol

from h2.errors import ErrorCodes

from sidecar.proxy.h2.fields import Fields


class Exchange(Protocol):
    """One request with the application; the stream calls this."""

    def send(self, data: bytes) -> None:
        """More of the body."""

    def end(self, trailers: Fields) -> None:
        """The request is whole."""

    def pause(self, slow: bool) -> None:
        """Whether the client has to catch up with the answer."""

    def cancel(self) -> None:
        """The answer is of no use any more; the stream hears nothing more."""


class Asker(Protocol):
    """The stream that asked; the exchange calls this, and nothing after `done`, `failed` or `broke`."""

    def interim(self, status: int, fields: Fields) -> None:
        """A 1xx response."""

    def answered(self, status: int, fields: Fields, last: bool) -> None:
        """The response's head; `last`: there is no body, and nothing more is called."""

    def data(self, data: bytes) -> None:
        """Part of the response's body."""

    def done(self, trailers: Fields) -> None:
        """The response is complete."""

    def failed(self, status: int, reason: str) -> None:
        """There will be no response: what to answer instead."""

    def broke(self, code: ErrorCodes) -> None:
        """The response has begun and will not be complete, or (REFUSED_STREAM) was certainly not executed."""

    def full(self, full: bool) -> None:
        """Whether the application has to catch up with the request's body."""
