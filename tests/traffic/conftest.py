"""A stand-in for a cluster: an API server in miniature whose pods of Locust are processes of this machine.

It knows the requests that `harness.traffic` makes, and no more. A pod is `python -m locust` with the
arguments and environment of its manifest; ports that a pod would have to itself are replaced by free ones.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient, Configuration

from harness.traffic import workload

PATIENCE_S = 30.0
LOCUST = ["python", "-m", "locust", "-f", "loadtests/locustfile.py"]  # the image's entry point
PORTS = (workload.MASTER_BUS_PORT, workload.MASTER_WEB_PORT)
PROXY = re.compile(r"/api/v1/namespaces/hotupgrade-1/pods/([^/:]+):(\d+)/proxy(/.*)")
POD = re.compile(r"/api/v1/namespaces/hotupgrade-1/pods/([^/?]+)(/log)?")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class StandIn:
    """Pods as processes. `waiting` maps a pod's name to the reason for which it does not start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {str(port): str(free_port()) for port in PORTS}
        self.ledger_ports: dict[str, str] = {}
        """Each pod's own."""
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.waiting: dict[str, str] = {}
        self.elsewhere: dict[tuple[str, int], int] = {}
        """Ports of pods that a test serves itself."""

    def create(self, manifest: dict[str, Any]) -> None:
        """A ConfigMap or a pod."""
        if manifest["kind"] == "ConfigMap":
            (self.folder / "loadtests").mkdir(exist_ok=True)
            for name, text in manifest["data"].items():
                (self.folder / "loadtests" / name).write_text(text)
            return
        name, container = manifest["metadata"]["name"], manifest["spec"]["containers"][0]
        if name in self.waiting:
            return
        arguments = [self.ports.get(argument, argument) for argument in container["args"]]
        self.ledger_ports[name] = str(free_port())
        variables = {item["name"]: item["value"] for item in container["env"]}
        variables["LEDGER_PORT"] = self.ledger_ports[name]
        with (self.folder / name).open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *(container.get("command") or LOCUST)[1:], *arguments],
                cwd=self.folder,
                env={**os.environ, **variables, "PYTHONPATH": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def pod(self, name: str) -> dict[str, Any]:
        """A pod's object."""
        if name in self.waiting:
            state = {"waiting": {"reason": self.waiting[name], "message": "as the test wants it"}}
            container = {"name": "locust", "image": "i", "imageID": "", "ready": False, "restartCount": 0}
            status = {"phase": "Pending", "containerStatuses": [{**container, "state": state}]}
        elif self.processes[name].poll() is None:
            status = {"phase": "Running", "podIP": "127.0.0.1"}
        else:
            status = {"phase": "Failed" if self.processes[name].returncode else "Succeeded"}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "status": status}

    def log(self, name: str) -> bytes:
        """What a pod printed."""
        path = self.folder / name
        return path.read_bytes() if path.exists() else b""

    def proxy(self, method: str, asked: re.Match[str], body: bytes, kind: str) -> tuple[int, bytes, str]:
        """What a pod answers; 503 when it does not."""
        pod, port, path = asked.groups()
        own = self.ledger_ports.get(pod, "0") if port == str(workload.LEDGER_PORT) else self.ports.get(port)
        real = self.elsewhere.get((pod, int(port))) or own
        headers = {"Content-Type": kind} if body else {}
        request = urllib.request.Request(
            f"http://127.0.0.1:{real}{path}", data=body or None, headers=headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return answer.status, answer.read(), answer.headers["content-type"]
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), "text/plain"
        except OSError as error:
            return 503, str(error).encode(), "text/plain"

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Ends a pod's process."""
        self.processes[name].send_signal(number)
        self.processes[name].wait(PATIENCE_S)

    def delete(self, name: str) -> bool:
        """Takes a pod away; False if there is none."""
        if name not in self.processes:
            return False
        self.kill(name)
        del self.processes[name]
        return True

    def end(self) -> None:
        """Kills what runs."""
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()


def handler(cluster: StandIn) -> type[BaseHTTPRequestHandler]:
    """The API server's requests."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if proxied := PROXY.fullmatch(self.path):
                self.answer(*cluster.proxy("GET", proxied, b"", ""))
            elif (named := POD.match(self.path)) and named[2]:
                self.answer(200, cluster.log(named[1]), "text/plain")
            elif named and (named[1] in cluster.processes or named[1] in cluster.waiting):
                self.answer(200, json.dumps(cluster.pod(named[1])).encode())
            else:
                self.answer(404, b"{}")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            if proxied := PROXY.fullmatch(self.path):
                kind = self.headers.get("content-type", "")
                self.answer(*cluster.proxy("POST", proxied, body, kind))
            else:
                cluster.create(json.loads(body))
                self.answer(201, body)

        def do_DELETE(self) -> None:
            named = POD.match(self.path)
            self.answer(404 if named and not cluster.delete(named[1]) else 200, b"{}")

        def answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[StandIn]:
    cluster = StandIn(tmp_path)
    yield cluster
    cluster.end()


@pytest.fixture
def client(cluster: StandIn) -> Iterator[ApiClient]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(cluster))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    configuration = Configuration(host=f"http://127.0.0.1:{server.server_port}")
    with ApiClient(configuration) as client:
        yield client
        client.rest_client.pool_manager.clear()
    server.shutdown()
    thread.join()
    server.server_close()
