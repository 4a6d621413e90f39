"""The load generator in pods of the embedded cluster: what is lost with a worker or the master, and what is not."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient, CoreV1Api

from harness.embedded import cluster
from harness.objects import create
from harness.record.ledger import LoadLedger
from harness.site import Site, own
from harness.traffic import clocks, workload
from harness.traffic.load import Load, PodsOf, Target, Timeouts, app_ledger
from harness.traffic.proxy import PodPort
from harness.traffic.ui import Ui
from tests import garbage
from tests.traffic.test_ui import ask

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # the official client's
]

IMAGES = Path(__file__).parents[2] / "images"
APP_PORT = 8080
PATIENCE_S = 60.0  # for pods and requests, on a busy machine
GENTLY = 0.2  # of the usual pace
TIMEOUTS = Timeouts(pod=60, locust=60, flow=60, stop=60, call=10, ledger=60)


@pytest.fixture(scope="module")
def api() -> Iterator[ApiClient]:
    machine = cluster.start(images=[IMAGES], api_port=0, kubelet_backoff=False)
    try:
        yield machine.client()
    finally:
        machine.stop()
        garbage.collect()


@pytest.fixture
def site(api: ApiClient) -> Site:
    """A namespace to each test."""
    site = Site(run=secrets.token_hex(4), owner=own())
    site.create(api)
    return site


@pytest.fixture
def load(api: ApiClient, site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Two workers that send to an application without a sidecar, some of whose records are kept already."""
    monkeypatch.setattr("harness.traffic.worker.KEEP_EVERY_S", 1.0)
    address = application(api, site)
    load = Load(
        api,
        site,
        [Target("app", address, APP_PORT)],
        PodsOf(site.namespace, {"app": "app"}),
        pace=GENTLY,
        workers=2,
        timeouts=TIMEOUTS,
    )
    load.start()
    eventually(lambda: load.progress()[0] >= 500)
    yield load
    load.remove()


def application(api: ApiClient, site: Site) -> str:
    """Its address, once it is ready."""
    core: Any = CoreV1Api(api)
    container = {
        "name": "app",
        "image": workload.APP_IMAGE,
        "env": [{"name": "APP_LISTEN", "value": f"0.0.0.0:{APP_PORT}"}],
        "readinessProbe": {
            "httpGet": {"path": "/healthz", "port": workload.APP_ADMIN_PORT},
            "periodSeconds": 1,
        },
    }
    metadata = {"name": "app", "namespace": site.namespace, "labels": {"app": "app"}}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 1}
    create(api, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    def address() -> str | None:
        status = core.read_namespaced_pod("app", site.namespace).status
        ready = [one.ready for one in status.container_statuses or []]
        return status.pod_ip if ready == [True] else None

    return str(eventually(address))


def eventually(check: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := check()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)
    return found


def delete(api: ApiClient, site: Site, pod: str) -> None:
    """Takes a pod away at once, and returns when it is gone."""
    core: Any = CoreV1Api(api)
    core.delete_namespaced_pod(pod, site.namespace, grace_period_seconds=0)
    eventually(
        lambda: pod not in [item.metadata.name for item in core.list_namespaced_pod(site.namespace).items]
    )


def sent(ledgers: list[LoadLedger]) -> int:
    return sum(last - first + 1 for one in ledgers for client in one.clients for first, last in client.sent)


def test_a_lost_worker_leaves_what_it_recorded_and_the_other_one_ends_in_order(
    api: ApiClient, site: Site, load: Load
) -> None:
    delete(api, site, "loadgen-1-worker-1")
    before = load.progress()[0]
    eventually(lambda: load.progress()[0] > before + 100)
    load.stop()
    ledgers = load.ledgers()
    assert [one.worker for one in ledgers] == ["loadgen-1-worker-0", "loadgen-1-worker-1"]
    assert [one.stopped is None for one in ledgers] == [False, True]
    assert all(sent([one]) > 50 and one.series for one in ledgers)
    (problem,) = load.problems
    assert problem.startswith("pod loadgen-1-worker-1 is gone")
    assert problem.endswith("UTC is kept")


def test_a_lost_master_leaves_workers_that_go_on_and_are_stopped_and_read(
    api: ApiClient, site: Site, load: Load
) -> None:
    delete(api, site, "loadgen-1-master")
    before = load.progress()[0]
    eventually(lambda: load.progress()[0] > before + 100)
    load.stop()
    ledgers = load.ledgers()
    executed = app_ledger(api, site.namespace, "app").executed
    assert all(one.stopped is not None for one in ledgers)
    assert {client.name: client.sent for one in ledgers for client in one.clients if client.sent} == executed
    assert not [failure for one in ledgers for client in one.clients for failure in client.failures]
    (problem,) = load.problems
    assert problem.startswith("pod loadgen-1-master is gone")


def test_two_workers_end_in_order_their_clocks_are_measured_and_locusts_ui_is_reached(
    api: ApiClient, site: Site, load: Load
) -> None:
    offsets = clocks.measure(
        [*load.worker_ports, PodPort(api, site.namespace, "app", workload.APP_ADMIN_PORT)]
    )
    with Ui() as ui:
        ui.start(load.web(api))
        ui.phase(1, "app", "migration", 0.0)
        status, headers, page = ask(ui, "GET", "/")
        eventually(lambda: b"migration" in ask(ui, "GET", "/stats/requests")[2])
    load.stop()
    ledgers = load.ledgers()
    assert load.problems == []
    assert sent(ledgers) == load.locust_stats().requests
    assert [offset.pod for offset in offsets] == ["loadgen-1-worker-0", "loadgen-1-worker-1", "app"]
    assert all(
        abs(offset.offset_ms) <= offset.uncertainty_ms + 5 for offset in offsets
    )  # one machine, one clock
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b'"title": "Upgrades"' in page
