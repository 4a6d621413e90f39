import asyncio
import json
import re
import signal
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import pytest
from aiohttp import web
from kubernetes.client import ApiClient

from app.ledger import Ledger
from app.outbound import Outbound
from app.server import Pace, admin, start, traffic
from harness.errors import ClusterError, InputError
from harness.record.classes import USUAL
from harness.record.ledger import LoadLedger
from harness.traffic import clocks, worker, workload
from harness.traffic.load import Load, PodsOf, Target, Timeouts, app_ledger
from harness.traffic.proxy import PodPort
from harness.traffic.ui import Ui
from tests.site import SITE

pytestmark = pytest.mark.integration

StandIn = Any

SUBJECT = PodsOf(SITE.namespace, {"app": "hotupgrade"})
ENOUGH_REQUESTS = 500  # of five classes; every class is among them
PATIENCE_S = 20.0  # for requests to be sent, on a busy machine
QUICK = Timeouts(pod=10, locust=60, flow=60, stop=60, call=10, ledger=10)
GENTLY = 0.2  # of the usual pace: the machine has other things to do


class Side:
    """An event loop of its own, beside the blocking harness."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture
def side() -> Iterator[Side]:
    side = Side()
    yield side
    side.end()


@contextmanager
def application(side: Side, ledger: Ledger) -> Iterator[tuple[int, int]]:
    """The application's two ports."""
    runners: list[web.AppRunner] = [
        side.run(start(face, "127.0.0.1", 0))
        for face in (traffic(ledger, Outbound("127.0.0.1", 1), Pace()), admin(ledger, Pace()))
    ]
    yield runners[0].addresses[0][1], runners[1].addresses[0][1]
    for runner in runners:
        side.run(runner.cleanup())


async def closes_after_each_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    request = await reader.readuntil(b"\r\n\r\n")
    request_id = request.partition(b"x-request-id: ")[2].partition(b"\r\n")[0]
    digest = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    body = b"%b %b\n" % (request_id, digest)
    head = b"HTTP/1.1 200 OK\r\nx-request-id: %b\r\nx-body-sha256: %b\r\nContent-Length: %d\r\n\r\n"
    writer.write(head % (request_id, digest, len(body)) + body)
    await asyncio.sleep(0.05)
    writer.close()


def counts(loads: list[LoadLedger], field: str) -> int:
    clients = [client for load in loads for client in load.clients]
    return sum(last - first + 1 for client in clients for first, last in getattr(client, field))


def run(load: Load, requests: int) -> list[LoadLedger]:
    load.start()
    deadline = monotonic() + PATIENCE_S
    while load.progress()[0] < requests:
        assert monotonic() < deadline, load.progress()
    load.stop()
    return load.ledgers()


def test_locust_in_pods_and_the_application_agree_on_every_request(
    cluster: StandIn, client: ApiClient, side: Side
) -> None:
    ledger = Ledger("app-a")
    with application(side, ledger) as (port, admin_port):
        cluster.elsewhere["app-a", 8081] = admin_port
        targets = [Target("app-a", "127.0.0.1", port), Target("app-b", "127.0.0.1", port)]
        load = Load(client, SITE, targets, SUBJECT, pace=GENTLY, timeouts=QUICK)
        loads = run(load, ENOUGH_REQUESTS)
        executed = app_ledger(client, SITE.namespace, "app-a")
        progress, stats = load.progress(), load.locust_stats()
    sent = counts(loads, "sent")
    assert sent == counts(loads, "answered") == progress[0] == stats.requests >= ENOUGH_REQUESTS
    assert progress[1] == stats.failures == 0
    assert {client.name: client.sent for client in loads[0].clients if client.sent} == executed.executed
    assert executed.duplicated == {}
    assert {client.traffic_class for client in loads[0].clients if client.sent} == set(USUAL)
    assert {client.pod for client in loads[0].clients} == {"app-a", "app-b"}
    assert {connection.how for connection in loads[0].connections} == {"open"}
    assert loads[0].stopped is not None
    assert loads[0].saturation.cpu_fraction > 0


def test_a_closing_server_and_a_failing_one_are_both_seen_by_locust_and_in_the_ledger(
    cluster: StandIn, client: ApiClient, side: Side
) -> None:
    async def ends_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    serves = (closes_after_each_answer, ends_at_once)
    servers = [side.run(asyncio.start_server(serve, "127.0.0.1", 0)) for serve in serves]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    targets = [
        Target(name, "127.0.0.1", port) for name, port in zip(("closing", "failing"), ports, strict=True)
    ]
    load = Load(client, SITE, targets, SUBJECT, classes=["keep-alive"], pace=GENTLY, timeouts=QUICK)
    loads = run(load, 100)
    stats = load.locust_stats()
    for server in servers:
        server.close()
        side.run(server.wait_closed())
    fine, failing = ([c for c in loads[0].clients if c.pod == pod] for pod in ("closing", "failing"))
    assert all(c.answered == c.sent and not c.failures for c in fine)
    assert all(not c.answered and {failure.kind for failure in c.failures} == {"eof"} for c in failing)
    ends = {(c.pod, c.how) for c in loads[0].connections}
    assert {("closing", "closed"), ("failing", "broken")} <= ends
    assert stats.failures == sum(len(c.failures) for c in failing) > 0


def test_a_pod_that_cannot_start_is_an_error_with_the_reason(cluster: StandIn, client: ApiClient) -> None:
    cluster.waiting["loadgen-1-master"] = "ImagePullBackOff"
    load = Load(client, SITE, [Target("a", "127.0.0.1", 1)], SUBJECT, timeouts=QUICK)
    with pytest.raises(
        ClusterError, match="pod loadgen-1-master cannot start: ImagePullBackOff: as the test"
    ):
        load.start()


def test_a_load_generator_that_ends_is_an_error_with_its_last_lines(
    cluster: StandIn, client: ApiClient
) -> None:
    load = Load(client, SITE, [Target("a", "127.0.0.1", 1)], SUBJECT, classes=["h9"], timeouts=QUICK)
    with pytest.raises(ClusterError, match=r"(?s)loadgen-1-master has ended .*last log lines.*CLASSES: 'h9'"):
        load.start()


def test_a_pod_without_a_ledger_is_an_error(cluster: StandIn, client: ApiClient) -> None:
    cluster.elsewhere["app-a", 8081] = 1
    with pytest.raises(ClusterError, match=r"GET /api/.*/pods/app-a:8081/proxy/ledger: status 503"):
        app_ledger(client, SITE.namespace, "app-a")


def test_two_workers_share_the_clients_and_the_schedule(
    cluster: StandIn, client: ApiClient, side: Side
) -> None:
    ledger = Ledger("app-a")
    with application(side, ledger) as (port, _):
        targets = [Target("app-a", "127.0.0.1", port)]
        load = Load(client, SITE, targets, SUBJECT, pace=GENTLY, workers=2, timeouts=QUICK)
        loads = run(load, ENOUGH_REQUESTS)
        stats = load.locust_stats()
    assert load.problems == []
    assert [one.stopped is not None for one in loads] == [True, True]
    assert counts(loads, "sent") == counts(loads, "answered") == stats.requests
    names = [one.name for load in loads for one in load.clients]
    assert len(set(names)) == len(names) == 204
    assert all(one.saturation.asked > 0.9 * one.saturation.reached > 0 for one in loads)


def started(
    cluster: StandIn, client: ApiClient, port: int, monkeypatch: pytest.MonkeyPatch, workers: int
) -> Load:
    """A load of some workers that has sent for a while, and of which something is kept."""
    monkeypatch.setattr(worker, "KEEP_EVERY_S", 0.1)
    targets = [Target("app-a", "127.0.0.1", port)]
    load = Load(client, SITE, targets, SUBJECT, pace=GENTLY, workers=workers, timeouts=QUICK)
    load.start()
    deadline = monotonic() + PATIENCE_S
    while load.progress()[0] < ENOUGH_REQUESTS:
        assert monotonic() < deadline, load.progress()
    load.progress()
    return load


def test_a_worker_that_is_lost_is_a_problem_and_its_records_up_to_then_are_kept(
    cluster: StandIn, client: ApiClient, side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    with application(side, Ledger("app-a")) as (port, _):
        load = started(cluster, client, port, monkeypatch, workers=2)
        cluster.kill("loadgen-1-worker-1")
        before = load.progress()
        load.stop()
        loads = load.ledgers()
    assert [one.worker for one in loads] == [loads[0].worker] * 2  # both carry this machine's name
    assert [one.stopped is not None for one in loads] == [True, False]
    assert all(counts([one], "answered") > 100 for one in loads)
    assert counts(loads, "sent") >= before[0] >= ENOUGH_REQUESTS
    assert sum(sum(one.sent) for one in loads[1].series) > 100
    (problem,) = load.problems
    assert problem.startswith("pod loadgen-1-worker-1 has ended (Failed); its last log lines:")
    assert re.search(r"\nwhat it recorded up to \d\d:\d\d:\d\d UTC is kept$", problem)
    load.remove()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_without_the_master_the_workers_go_on_and_are_stopped_and_read(
    cluster: StandIn, client: ApiClient, side: Side, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    ledger = Ledger("app-a")
    with application(side, ledger) as (port, admin_port):
        cluster.elsewhere["app-a", 8081] = admin_port
        load = started(cluster, client, port, monkeypatch, workers=1)
        cluster.kill("loadgen-1-master", number)
        sent = load.progress()[0]
        deadline = monotonic() + PATIENCE_S
        while load.progress()[0] < sent + 50:
            assert monotonic() < deadline, load.progress()
        load.stop()
        (read,) = load.ledgers()
        executed = app_ledger(client, SITE.namespace, "app-a")
    assert read.stopped is not None
    assert {one.name: one.sent for one in read.clients if one.sent} == executed.executed
    (problem,) = load.problems
    assert problem.startswith("pod loadgen-1-master has ended")
    with pytest.raises(ClusterError, match="loadgen-1-master"):
        load.locust_stats()


def test_a_load_that_lost_all_its_pods_returns_what_was_kept_and_removes_what_is_left(
    cluster: StandIn, client: ApiClient, side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    with application(side, Ledger("app-a")) as (port, _):
        load = started(cluster, client, port, monkeypatch, workers=1)
        for pod in ("loadgen-1-master", "loadgen-1-worker-0"):
            cluster.delete(pod)
        load.stop()
        loads = load.ledgers()
        load.remove()
    assert counts(loads, "sent") > 100
    assert [problem.partition(";")[0] for problem in load.problems] == [
        "pod loadgen-1-master is gone",
        "pod loadgen-1-worker-0 is gone",
    ]


def test_the_workers_clock_is_this_machines(cluster: StandIn, client: ApiClient, side: Side) -> None:
    with application(side, Ledger("app-a")) as (port, admin_port):
        cluster.elsewhere["app-a", 8081] = admin_port
        targets = [Target("app-a", "127.0.0.1", port)]
        load = Load(client, SITE, targets, SUBJECT, classes=["post"], pace=GENTLY, timeouts=QUICK)
        load.start()
        offsets = clocks.measure([*load.worker_ports, PodPort(client, SITE.namespace, "app-a", 8081)])
        load.stop()
    assert [offset.pod for offset in offsets] == ["loadgen-1-worker-0", "app-a"]
    assert all(abs(offset.offset_ms) <= offset.uncertainty_ms + 5 for offset in offsets)


def test_locusts_own_ui_is_reached_through_the_proxy_and_shows_the_upgrades(
    cluster: StandIn, client: ApiClient, side: Side
) -> None:
    with application(side, Ledger("app-a")) as (port, _), Ui() as ui:
        targets = [Target("app-a", "127.0.0.1", port)]
        load = Load(client, SITE, targets, SUBJECT, classes=["post"], pace=GENTLY, timeouts=QUICK)
        load.start()
        url = ui.start(load.web(client))
        ui.phase(1, "app-a", "migration", 0.0)
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            page = answer.read().decode()
        (script,) = re.findall(r'src="\./(assets/[^"]+\.js)"', page)
        with urllib.request.urlopen(url + script, timeout=PATIENCE_S) as answer:
            assert len(answer.read()) > 100_000
        deadline = monotonic() + PATIENCE_S
        shown: list[dict[str, str]] = []
        while not shown:
            assert monotonic() < deadline, "the upgrades did not come"
            with urllib.request.urlopen(f"{url}stats/requests", timeout=PATIENCE_S) as answer:
                shown = json.loads(answer.read())["extended_stats"][0]["data"]
        load.stop()
    assert '"extended_tabs": [{"key": "upgrades", "title": "Upgrades"}]' in page
    assert [(row["pod"], row["upgrade"], row["phase"]) for row in shown] == [("app-a", "1", "migration")]


def test_a_shape_reaches_the_workers_and_a_wrong_one_is_an_error_of_the_input(
    cluster: StandIn, client: ApiClient, side: Side
) -> None:
    with pytest.raises(InputError, match="load shape 'sine' is no shape; give constant, or for example"):
        workload.check_shape("sine")
    workload.check_shape("spike:4@10+5")
    with application(side, Ledger("app-a")) as (port, _):
        targets, shape = [Target("app-a", "127.0.0.1", port)], "steps:0.1,0.2/3600"
        load = Load(client, SITE, targets, SUBJECT, classes=["keep-alive"], shape=shape, timeouts=QUICK)
        (read,) = run(load, 100)
    assert 50 < read.saturation.asked < 70  # a tenth of 600
