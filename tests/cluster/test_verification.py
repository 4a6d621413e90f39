"""Whether the certificate of a cluster's API server is verified is the kubeconfig's decision, and named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cluster.remote import UNVERIFIED, Remote, reach
from tests.upgrade.fakes import Answer, FakeApi

VERSION = dict.fromkeys(
    (
        "major",
        "minor",
        "gitVersion",
        "gitCommit",
        "gitTreeState",
        "buildDate",
        "goVersion",
        "compiler",
        "platform",
    ),
    "v1",
)


def answer(_method: str, path: str, *_: Any) -> Answer:
    return 200, VERSION if path == "/version/" else {"items": []}


def reached(folder: Path, cluster: dict[str, object]) -> Remote:
    file = folder / "kubeconfig"
    kubeconfig = {
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1", **cluster}}],
        "users": [{"name": "c", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    }
    file.write_text(yaml.safe_dump(kubeconfig))
    return reach(file, None)


@pytest.mark.parametrize(("cluster", "verified"), [({}, True), ({"insecure-skip-tls-verify": True}, False)])
def test_a_certificate_is_verified_unless_the_kubeconfig_says_otherwise_and_then_the_report_says_so(
    cluster: dict[str, object], verified: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = reached(tmp_path, cluster)
    assert remote.configuration.verify_ssl is verified
    monkeypatch.setattr(Remote, "client", lambda _: FakeApi(answer))
    assert remote.info("current", []).notes == ([] if verified else [UNVERIFIED])
