"""What the load generator finds out in a pod of its own before the load, as the harness asks for it."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes.client import ApiClient

from harness.errors import ClusterError
from harness.traffic.load import Load, PodsOf, Target, Timeouts
from tests.site import SITE

pytestmark = pytest.mark.integration

NAMES = ["new-connection", "slow-upload", "websocket", "connect", "h2"]
QUICK = Timeouts(pod=20, locust=30, flow=20, stop=30, call=15, ledger=15)
SUBJECT = PodsOf(SITE.namespace, {"app": "hotupgrade"})


def test_it_says_of_each_class_and_pod_what_is_wrong(cluster: Any, client: ApiClient) -> None:
    targets = [Target(name, "127.0.0.1", 1) for name in ("app-a", "app-b")]
    found = Load(client, SITE, targets, SUBJECT, classes=NAMES, timeouts=QUICK).probe()
    refused = "refused: no connection: Connection refused"
    assert found == {name: {"app-a": refused, "app-b": refused} for name in NAMES}
    assert cluster.processes == {}


def test_one_that_fails_is_told_with_its_last_words(client: ApiClient) -> None:
    load = Load(client, SITE, [Target("a", "127.0.0.1", 1)], SUBJECT, classes=["h9"], timeouts=QUICK)
    with pytest.raises(ClusterError, match="CLASSES: 'h9' is none of"):
        load.probe()
