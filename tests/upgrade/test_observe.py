"""The watch: taken up where it ended, listed again where its place is gone, told when the API is."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from kubernetes.client import ApiClient, Configuration

from harness.cli.interrupt import Interrupted
from harness.errors import ClusterError
from harness.upgrade.observe import Sighting, Watcher
from harness.upgrade.view import PodView
from harness.upgrade.waits import Timeouts
from tests.upgrade.fakes import Answer, FakeApi, FakeTime, pod, refusal

ARRIVES_S = 5.0  # a sighting that does not come is a failure, not a hang
VIEW = PodView("pod-1", True, {})


def listing(version: int) -> Answer:
    return 200, {"metadata": {"resourceVersion": str(version)}, "items": [pod(VIEW, version)]}


def stream(*events: tuple[str, int]) -> Answer:
    lines = [json.dumps({"type": kind, "object": pod(VIEW, version)}) for kind, version in events]
    return 200, "".join(f"{line}\n" for line in lines)


class Script:
    """Answers in order, each after so many virtual seconds; then it waits until the test is over."""

    def __init__(self, *steps: tuple[float, Answer]) -> None:
        self.steps, self.time = list(steps), FakeTime()
        self.over = threading.Event()
        self.api = FakeApi(self.answer)

    def answer(self, *_: Any) -> Answer:
        if not self.steps:
            self.over.wait(ARRIVES_S)
            return stream()
        after, answer = self.steps.pop(0)
        self.time.sleep(after)
        return answer

    @contextmanager
    def watcher(self, **options: Any) -> Iterator[Watcher]:
        with Watcher(lambda: self.api, "run", {"app": "trace"}, clock=self.time.clock, **options) as watcher:
            try:
                yield watcher
            finally:
                self.over.set()


def take(watcher: Watcher) -> Sighting:
    sighting = watcher.next(ARRIVES_S)
    assert sighting is not None
    return sighting


def test_the_list_comes_first_and_the_watch_goes_on_from_its_version() -> None:
    script = Script((0, listing(5)), (1, stream(("MODIFIED", 6), ("DELETED", 7))))
    with script.watcher() as watcher:
        assert [take(watcher).gone for _ in range(3)] == [False, False, True]
    asked = [query for _, _, query in script.api.asked]
    assert asked[0] == {"labelSelector": "app=trace"}
    assert asked[1]["resourceVersion"] == "5"


def test_a_watch_that_ends_is_taken_up_after_the_last_event() -> None:
    script = Script((0, listing(5)), (1, stream(("MODIFIED", 6))), (1, stream(("MODIFIED", 8))))
    with script.watcher() as watcher:
        for _ in range(3):
            take(watcher)
    versions = [query.get("resourceVersion") for _, _, query in script.api.asked]
    assert versions[:3] == [None, "5", "6"]


@pytest.mark.parametrize("gone", [refusal(410, "too old"), (200, '{"type":"ERROR","object":{"code":410}}')])
def test_a_place_that_is_gone_leads_to_a_list_whose_news_are_as_old_as_the_gap(gone: Answer) -> None:
    if isinstance(gone[1], str):
        body = {"code": 410, "reason": "Expired", "message": "too old resource version"}
        gone = 200, json.dumps({"type": "ERROR", "object": body}) + "\n"
    script = Script((0, listing(5)), (1, stream(("MODIFIED", 6))), (3, gone), (4, listing(90)))
    with script.watcher() as watcher:
        assert take(watcher).slack_s == 0
        take(watcher)
        assert take(watcher).slack_s == pytest.approx(7)


def test_an_api_that_stays_away_is_told_after_a_while() -> None:
    script = Script((0, listing(5)), *[(4.0, refusal(503, "not now"))] * 9)
    with script.watcher(timeouts=Timeouts(unreachable_s=10)) as watcher:
        take(watcher)
        with pytest.raises(ClusterError, match="cannot watch pods since 12 s: 503 not now"):
            take(watcher)


def test_an_api_that_comes_back_in_time_is_not_told() -> None:
    script = Script((0, listing(5)), (4, refusal(503)), (4, refusal(503)), (0, stream(("MODIFIED", 6))))
    with script.watcher(timeouts=Timeouts(unreachable_s=10)) as watcher:
        take(watcher)
        assert take(watcher).view.name == "pod-1"


def test_a_watch_that_breaks_for_no_known_reason_is_told_and_not_silent() -> None:
    with (
        Script((0, (200, {"items": []}))).watcher() as watcher,
        pytest.raises(ClusterError, match="cannot watch"),
    ):
        take(watcher)


class Handler(BaseHTTPRequestHandler):
    """A list, then a watch of one event that stays open."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        watching = "watch=" in self.path
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        if not watching:
            body = json.dumps(listing(5)[1]).encode()
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        line = str(stream(("MODIFIED", 6))[1]).encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.flush()
        self.rfile.read(1)  # until the client hangs up
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        return None


@pytest.mark.integration
def test_over_a_real_connection_news_come_at_once_and_the_end_does_too() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        host = f"http://127.0.0.1:{server.server_address[1]}"
        with Watcher(lambda: ApiClient(Configuration(host=host)), "run", {"app": "trace"}) as watcher:
            take(watcher)
            take(watcher)
            began = time.monotonic()
        assert time.monotonic() - began < 0.9  # the watch itself would last for another 30 s
        assert not [thread for thread in threading.enumerate() if thread.name == "pod-watch"]
    finally:
        server.shutdown()
        server.server_close()


def test_a_signal_while_the_watch_starts_leaves_no_thread(
    signal_in_start: Callable[[type[BaseException]], None],
) -> None:
    api = FakeApi(lambda *_: stream())
    watcher = Watcher(lambda: api, "run", {"app": "trace"})
    signal_in_start(Interrupted)

    with pytest.raises(Interrupted), watcher:
        pass

    for thread in [thread for thread in threading.enumerate() if thread.name == "pod-watch"]:
        thread.join(ARRIVES_S)
    assert "pod-watch" not in [thread.name for thread in threading.enumerate()]
