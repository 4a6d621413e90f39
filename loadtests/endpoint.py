"""A worker's HTTP endpoint: JSON documents to GET, and actions to POST. Knows nothing of what they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import gevent
from gevent.pywsgi import WSGIServer

Document = Callable[[], Mapping[str, object]]
StartResponse = Callable[[str, list[tuple[str, str]]], object]

PIECE = 50  # items of a list that are written at once: a millisecond or less


def serve(port: int, documents: Mapping[str, Document], actions: Mapping[str, Document]) -> None:
    """Serves JSON documents by path, on all addresses, for as long as the process lives; an action answers with one."""

    def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        known = {"GET": documents, "POST": actions}.get(environ["REQUEST_METHOD"], {})
        document = known.get(environ["PATH_INFO"])
        if document is None:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [
                b"GET " + ", ".join(documents).encode() + b"; POST " + ", ".join(actions).encode() + b"\n"
            ]
        start_response("200 OK", [("Content-Type", "application/json")])
        return pieces(document())

    server = WSGIServer(("0.0.0.0", port), application, log=None)
    server.start()
    gevent.spawn(server.serve_forever)


def pieces(document: Mapping[str, object]) -> Iterator[bytes]:
    """A document as JSON, bit by bit: a long one must not hold up the requests that are sent meanwhile."""
    before = "{"
    for key, value in document.items():
        yield f"{before}{json.dumps(key)}: ".encode()
        before = ", "
        if not isinstance(value, list):
            yield json.dumps(value).encode()
            continue
        yield b"["
        for start in range(0, len(value), PIECE):
            gevent.sleep(0)
            yield (", " * bool(start) + json.dumps(value[start : start + PIECE])[1:-1]).encode()
        yield b"]"
    yield b"}"
