import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import pytest
from aiohttp import web
from kubernetes.client import ApiClient

from app.ledger import Ledger
from app.outbound import Outbound
from app.server import admin, start, traffic
from harness.errors import ClusterError
from harness.record.ledger import LoadLedger
from harness.traffic.load import CLASSES, Load, PodsOf, Target, Timeouts, app_ledger
from tests.site import SITE

pytestmark = pytest.mark.integration

StandIn = Any

SUBJECT = PodsOf(SITE.namespace, {"app": "hotupgrade"})
ENOUGH_REQUESTS = 500  # of five classes; every class is among them
PATIENCE_S = 20.0  # for requests to be sent, on a busy machine
QUICK = Timeouts(pod=10, locust=20, flow=10, stop=20, call=10, ledger=10)
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
        for face in (traffic(ledger, Outbound("127.0.0.1", 1)), admin(ledger))
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
    assert {client.traffic_class for client in loads[0].clients if client.sent} == set(CLASSES)
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
