"""Locust's web UI on loopback: the master is a small server here, reached as through the API server's proxy."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from kubernetes.client import ApiClient, Configuration

from harness.errors import InputError
from harness.traffic.proxy import PodPort
from harness.traffic.ui import MOST_BYTES, MOST_ROWS, Ui

pytestmark = pytest.mark.integration

PATIENCE_S = 10.0  # for what should happen at once
PREFIX = "/api/v1/namespaces/ns/pods/loadgen-1-master:8089/proxy"
PHASE: dict[str, Any] = {"index": 1, "pod": "app-a", "name": "migration", "at": 0.0}


class Master:
    """Remembers what it is asked; `failing` so many times it answers 500."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.failing = 0


@pytest.fixture
def master() -> Master:
    return Master()


@pytest.fixture
def port(master: Master) -> Iterator[PodPort]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            master.asked.append((self.command, self.path, dict(self.headers), body))
            failing, master.failing = master.failing > 0, max(master.failing - 1, 0)
            answer = b"<html>" + self.path.encode()
            self.send_response(500 if failing else 304 if "If-None-Match" in self.headers else 200)
            self.send_header("Content-Type", "text/html")
            self.send_header("ETag", '"1"')
            self.send_header("Server-Secret", "for the API server alone")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    configuration = Configuration(
        host=f"http://127.0.0.1:{server.server_port}", api_key={"BearerToken": "Bearer the-run's"}
    )
    with ApiClient(configuration) as client:
        yield PodPort(client, "ns", "loadgen-1-master", 8089)
        client.rest_client.pool_manager.clear()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def ui() -> Iterator[Ui]:
    with Ui() as ui:
        yield ui


def ask(
    ui: Ui, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(ui.url.split("/")[2], timeout=PATIENCE_S)
    try:
        connection.request(method, path, body or None, {"Connection": "close", **(headers or {})})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def eventually(check: Any) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := check()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)
    return found


def test_pages_and_files_come_from_the_master_by_the_same_path(ui: Ui, port: PodPort, master: Master) -> None:
    assert ui.start(port) == ui.url
    status, headers, body = ask(ui, "GET", "/assets/index.js?x=1%20b")
    assert (status, body) == (200, b"<html>" + f"{PREFIX}/assets/index.js?x=1%20b".encode())
    assert (headers["Content-Type"], headers["ETag"]) == ("text/html", '"1"')
    assert "Server-Secret" not in headers
    assert ask(ui, "GET", "/", headers={"If-None-Match": '"1"'})[0] == 304


def test_a_form_reaches_the_master_as_it_is(ui: Ui, port: PodPort, master: Master) -> None:
    ui.start(port)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert ask(ui, "POST", "/swarm", b"user_count=3", form)[0] == 200
    (asked,) = [asked for asked in master.asked if asked[1] == f"{PREFIX}/swarm"]
    assert (asked[0], asked[3]) == ("POST", b"user_count=3")
    assert asked[2]["Content-Type"] == "application/x-www-form-urlencoded"


def test_without_a_master_the_page_says_so(ui: Ui) -> None:
    status, _, body = ask(ui, "GET", "/")
    assert (status, body) == (502, b"Locust's master does not answer: there is no load at the moment\n")


def test_a_master_that_is_gone_is_told_on_the_page_alone(ui: Ui) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        number = closed.getsockname()[1]
    with ApiClient(Configuration(host=f"http://127.0.0.1:{number}")) as client:
        ui.start(PodPort(client, "ns", "m", 8089))
        ui.phase(**PHASE)
        assert ask(ui, "GET", "/")[0] == 502


@pytest.mark.parametrize(
    "path",
    [
        "/../../secrets",
        "/%2e%2e/%2E%2E/secrets",
        "/x/..",
        "/./x",
        "/..%2fsecrets",
        "/..\\secrets",
        "http://h/x",
    ],
)
def test_a_path_that_leaves_the_master_is_refused_and_never_asked_for(
    ui: Ui, port: PodPort, master: Master, path: str
) -> None:
    ui.start(port)
    assert ask(ui, "GET", path)[0] in (400, 403)
    assert [asked for asked in master.asked if "/phases" not in asked[1]] == []


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}])
def test_pages_of_others_may_not_stop_the_test(
    ui: Ui, port: PodPort, master: Master, headers: dict[str, str]
) -> None:
    ui.start(port)
    assert ask(ui, "POST", "/stop", headers=headers)[0] == 403
    assert ask(ui, "POST", "/stop", headers={"Origin": ui.url.rstrip("/")})[0] == 200
    assert [asked[1] for asked in master.asked if "/phases" not in asked[1]] == [f"{PREFIX}/stop"]


def test_a_form_of_megabytes_is_refused(ui: Ui, port: PodPort) -> None:
    ui.start(port)
    assert ask(ui, "POST", "/swarm", b"x" * (MOST_BYTES + 1))[0] == 413


def posted(master: Master) -> list[list[dict[str, str]]]:
    return [json.loads(body) for _, path, _, body in master.asked if path == f"{PREFIX}/phases"]


def test_phases_are_posted_to_the_master_and_to_the_one_after_it(
    ui: Ui, port: PodPort, master: Master
) -> None:
    ui.start(port)
    ui.phase(**PHASE)
    ui.phase(**{**PHASE, "pod": "app-b", "name": "upgrade"})
    ui.phase(**{**PHASE, "name": "settled"})
    wanted = [("app-a", "1", "settled"), ("app-b", "1", "upgrade")]

    def shown() -> bool:
        rows = posted(master)[-1:]
        return bool(rows) and [(row["pod"], row["upgrade"], row["phase"]) for row in rows[0]] == wanted

    eventually(shown)
    master.asked.clear()
    ui.start(port)
    eventually(shown)


def test_phases_come_though_the_master_failed_once(
    ui: Ui, port: PodPort, master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.traffic.ui.AGAIN_S", 0.05)
    master.failing = 3
    ui.start(port)
    ui.phase(**PHASE)
    eventually(lambda: len(posted(master)) > 3 and posted(master)[-1])


def test_the_tab_keeps_the_last_upgrades_newest_first() -> None:
    ui = Ui()
    for index in range(1, MOST_ROWS + 51):
        ui.phase(**{**PHASE, "index": index})
    rows = ui.rows()
    assert (len(rows), rows[0]["upgrade"], rows[-1]["upgrade"]) == (MOST_ROWS, "150", "51")


def test_a_port_in_use_is_an_error_of_the_input() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with (
            pytest.raises(InputError, match=f"--ui {number}: Address already in use; give another"),
            Ui(number),
        ):
            pass


def test_it_ends_with_its_threads_and_its_port() -> None:
    before = threading.active_count()
    with Ui() as ui:
        assert ask(ui, "GET", "/")[0] == 502
        number = int(ui.url.split(":")[2].rstrip("/"))
    assert threading.active_count() <= before
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", number)) != 0
