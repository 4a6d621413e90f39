"""A worker's HTTP endpoint: JSON documents by path, such as /ledger. Knows nothing of what is in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gevent
from gevent.pywsgi import WSGIServer

Document = Callable[[], Mapping[str, object]]
StartResponse = Callable[[str, list[tuple[str, str]]], object]


def serve(port: int, documents: Mapping[str, Document]) -> None:
    """Serves JSON documents by path, on all addresses, for as long as the process lives."""

    def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        document = documents.get(environ["PATH_INFO"])
        if document is None:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"only " + ", ".join(documents).encode() + b"\n"]
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(document()).encode()]

    server = WSGIServer(("0.0.0.0", port), application, log=None)
    server.start()
    gevent.spawn(server.serve_forever)
