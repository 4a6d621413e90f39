"""A worker's probe, asked as the harness asks it: through the pod proxy, in a process in which gevent rules."""

import json
from typing import Any

import pytest
from kubernetes.client import ApiClient

from harness.traffic import workload
from harness.traffic.load import Load, PodsOf, Target, Timeouts
from harness.traffic.proxy import PodPort
from tests.site import SITE

pytestmark = pytest.mark.integration

NAMES = ["new-connection", "slow-upload", "websocket", "connect", "h2"]
QUICK = Timeouts(pod=20, locust=30, flow=20, stop=30, call=15, ledger=15)


def test_a_worker_says_of_each_class_and_pod_what_is_wrong(cluster: Any, client: ApiClient) -> None:
    targets = [Target(name, "127.0.0.1", 1) for name in ("app-a", "app-b")]
    subject = PodsOf(SITE.namespace, {"app": "hotupgrade"})
    load = Load(client, SITE, targets, subject, classes=NAMES, timeouts=QUICK)
    load.start()
    worker = PodPort(client, SITE.namespace, workload.worker_name(1, 0), workload.LEDGER_PORT)
    found = json.loads(worker.call("GET", "/probe", QUICK.call))
    load.stop()
    refused = "refused: no connection: Connection refused"
    assert found == {name: {"app-a": refused, "app-b": refused} for name in NAMES}
