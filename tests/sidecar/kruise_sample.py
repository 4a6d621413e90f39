"""A stand-in for a container of openkruise/samples' hotupgrade: same variables, same steps, same omissions.

Written from docs/kruise-sample.md. Port, socket path and the time until it calls itself started are arguments,
since the sample has them fixed. Run as `kruise_sample.py RELEASE PORT PATH STARTED_S`.
"""

from __future__ import annotations

import array
import contextlib
import http.client
import os
import selectors
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Listener:
    """Accepts until it is closed; a thread for each connection, which lives on."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.closing = self.closed = False
        self._wake, self._woken = socket.socketpair()

    def serve(self, handler: type[Handler]) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.sock, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self.closing:
                selector.select()
                if self.closing:
                    break
                # Once the listener is handed over it blocks, and this may take one more connection.
                with contextlib.suppress(BlockingIOError):
                    connection, peer = self.sock.accept()
                    connection.setblocking(True)
                    threading.Thread(target=self._talk, args=(connection, peer, handler), daemon=True).start()
        self.sock.close()
        self.closed = True

    def _talk(self, connection: socket.socket, peer: object, handler: type[Handler]) -> None:
        with connection, contextlib.suppress(OSError):
            handler(connection, peer, self)  # type: ignore[arg-type]

    def close(self) -> None:
        self.closing = True
        self._wake.send(b"x")
        while not self.closed:
            time.sleep(0.001)

    def migrate(self, path: str) -> None:
        descriptor = os.dup(self.sock.fileno())  # which nothing closes before a garbage collection
        os.set_blocking(descriptor, True)  # what asking Go for a number does, to both copies
        sender = socket.socket(socket.AF_UNIX)
        sender.connect(path)
        rights = array.array("i", [descriptor])
        sender.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        sender.detach()  # nor this
        self.close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Listener  # type: ignore[assignment]
    release, path_of_socket = "", ""

    def do_GET(self) -> None:
        status, body = 404, b"404 page not found\n"
        if self.path == "/serve":
            time.sleep(0.01)
            status, body = 200, f"This is version({self.release}) sidecar".encode()
        elif self.path == "/migrate":
            try:
                self.server.migrate(self.path_of_socket)
            except OSError as error:
                say(f"migrate failed: {error}")
                status, body = 200, b"failed"
            else:
                status, body = 200, b"success"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def receive(waiting: socket.socket, found: list[socket.socket | None]) -> None:
    connection, _ = waiting.accept()
    with connection:
        _, ancillary, _, _ = connection.recvmsg(32, 32)
        for _, _, data in ancillary[:1]:
            found.append(socket.socket(fileno=array.array("i", data)[0]))
            return
    found.append(None)


def trigger(port: int, path: str) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX) as waiting:
        waiting.bind(path)
        waiting.listen()
        found: list[socket.socket | None] = []
        receiver = threading.Thread(target=receive, args=(waiting, found), daemon=True)
        receiver.start()
        connection = http.client.HTTPConnection("127.0.0.1", port)
        try:
            connection.request("GET", "/migrate", headers={"User-Agent": "Go-http-client/1.1"})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200 or body != b"success":
                raise OSError(f"{answer.status} {body!r}")
            receiver.join()
        finally:
            os.unlink(path)
    if found[0] is None:
        raise OSError("no listener")
    return found[0]


def listen(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("::", port))
    sock.listen(4096)
    return sock


def main(release: str, port: int, path: str, started_s: float) -> int:
    version, alt = os.environ.get("SIDECARSET_VERSION", ""), os.environ.get("SIDECARSET_VERSION_ALT", "")
    sock = None
    if alt not in ("", "0"):
        if int(version) <= int(alt):
            say("older, does not listen")
            time.sleep(60)
            return 0
        try:
            sock = trigger(port, path)
            say("received")
        except (OSError, http.client.HTTPException) as error:
            say(f"not received: {error}")
    if sock is None:
        try:
            sock = listen(port)
        except OSError as error:
            say(f"cannot listen: {error}")
            return 0
    sock.setblocking(False)
    handler = type("Bound", (Handler,), {"release": release, "path_of_socket": path})
    listener = Listener(sock)
    serving = threading.Thread(target=listener.serve, args=(handler,), daemon=True)
    serving.start()
    say("serving")
    serving.join(started_s)
    if not serving.is_alive():
        return 1  # handed over before it called itself started
    say("started")
    while True:
        time.sleep(60)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])))
