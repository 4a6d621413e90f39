"""Locust's own web UI on this machine's loopback, while a run lasts: a small server that forwards to the master.

The master runs in a pod that nobody can reach but through the API server. The pages ask for paths of their own
server, so this one has a port to itself and hands every path on. With the pages come the phases of the upgrades,
which the master shows in a tab. Whatever goes wrong here, the run does not notice.
Knows nothing of what is on the pages.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from harness.errors import ClusterError, InputError
from harness.record.upgrade import PhaseName
from harness.traffic.proxy import Method, PodPort, Reply

LOOPBACK = "127.0.0.1"
CALL_S = 10.0  # one request to the master; a stop of the test may take longer, and goes on without its page
IDLE_S = 15.0  # a browser's connection that asks nothing
TURN_S = 0.2  # how soon the threads see that all is over
AGAIN_S = 1.0  # after a master that did not take the phases
MOST_BYTES = 65536  # of a form
MOST_ROWS = 100  # of the tab: the upgrades that matter are the last ones
NOT_MODIFIED = 304
ASKED = ("Accept", "Content-Type", "If-None-Match", "If-Modified-Since")
ANSWERED = ("Content-Type", "Content-Disposition", "Cache-Control", "ETag", "Last-Modified", "Location")
"""Headers that are handed on; the others belong to a connection."""


class Ui:
    """Locust's UI at a port of the user's, or any. Use: `with`, and within it `start` for each master, and `phase`."""

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self._master: PodPort | None = None
        self._rows: dict[tuple[int, str], dict[str, str]] = {}
        self._lock, self._changed, self._over = threading.Lock(), threading.Event(), threading.Event()
        loops = {"ui": self._serve, "phases": self._post_phases}
        self._threads = [
            threading.Thread(target=loop, name=name, daemon=True) for name, loop in loops.items()
        ]

    def __enter__(self) -> Ui:
        """Opens the port; InputError where it is taken."""
        try:
            self._server = _Server((LOOPBACK, self._port), _handler(self))
        except OSError as error:
            raise InputError(
                f"--ui {self._port}: {os.strerror(error.errno or 0)}; give another, or 0 for any free one"
            ) from error
        try:
            for thread in self._threads:
                thread.start()
        except BaseException:  # a signal, say
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(CALL_S)
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where the user's browser finds it."""
        return f"http://{LOOPBACK}:{self._server.server_port}/"

    def start(self, master: PodPort) -> str:
        """From now on this master is shown; returns where. Its client is used by threads of this object's."""
        self._master = master
        self._changed.set()
        return self.url

    def phase(self, index: int, pod: str, name: PhaseName, at: float) -> None:
        """A pod entered a phase of an upgrade, at a Unix time."""
        since = time.strftime("%H:%M:%S", time.localtime(at))
        row = {"pod": pod, "upgrade": str(index), "phase": name, "since": since}
        with self._lock:
            self._rows[index, pod] = row
            for key in sorted(self._rows)[:-MOST_ROWS]:
                del self._rows[key]
        self._changed.set()

    def rows(self) -> list[dict[str, str]]:
        """What the tab shows: the newest upgrade first."""
        with self._lock:
            return [row for _, row in sorted(self._rows.items(), key=lambda item: (-item[0][0], item[0][1]))]

    def forward(self, method: Method, path: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
        """The master's answer; 502 when there is none."""
        try:
            if self._master is None:
                raise ClusterError("there is no load at the moment")
            return self._master.exchange(method, path, CALL_S, headers, body)
        except Exception as error:  # whatever it is, it belongs onto the page and nowhere else
            return _text(502, f"Locust's master does not answer: {error}")

    def _serve(self) -> None:
        while not self._over.is_set():
            self._server.handle_request()

    def _post_phases(self) -> None:
        while not self._over.is_set():
            if self._changed.wait(TURN_S) and self._master:
                self._changed.clear()
                body = json.dumps(self.rows()).encode()
                if self.forward("POST", "/phases", {"Content-Type": "application/json"}, body).status != 200:
                    self._over.wait(AGAIN_S)
                    self._changed.set()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    timeout = TURN_S

    def handle_error(self, *_: object) -> None:
        """A browser that went away."""


def _handler(ui: Ui) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = IDLE_S

        def do_GET(self) -> None:
            self._answer(self._refusal() or ui.forward("GET", self.path, self._asked(), None))

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            if length > MOST_BYTES:
                self.close_connection = True
                self._answer(_text(413, f"at most {MOST_BYTES} bytes"))
                return
            body = self.rfile.read(length)
            self._answer(self._refusal() or ui.forward("POST", self.path, self._asked(), body))

        def log_message(self, *_: object) -> None:
            pass

        def _refusal(self) -> Reply | None:
            """Only its own pages may ask, since a POST controls the test; and only for what is the master's."""
            own = [f"{name}:{urlsplit(ui.url).port}" for name in (LOOPBACK, "localhost")]
            origin = self.headers.get("Origin", f"http://{own[0]}")
            if self.headers.get("Host") not in own or urlsplit(origin).netloc not in own:
                return _text(403, f"only pages of {ui.url} may ask")
            path = unquote(self.path.partition("?")[0]).replace("\\", "/")
            if not path.startswith("/") or not {".", ".."}.isdisjoint(path.split("/")):
                return _text(400, "no such path")
            return None

        def _asked(self) -> dict[str, str]:
            return {name: self.headers[name] for name in ASKED if name in self.headers}

        def _answer(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name in ANSWERED:
                if name in reply.headers:
                    self.send_header(name, reply.headers[name])
            if reply.status != NOT_MODIFIED:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(reply.body)

    return Handler


def _text(status: int, text: str) -> Reply:
    return Reply(status, {"Content-Type": "text/plain; charset=utf-8"}, text.encode() + b"\n")
