"""What is taken out of a run's texts, and what stays."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from rich.console import Console

from harness.account import Account
from harness.act import Act
from harness.cli.summary import print_summary
from harness.errors import ClusterError, InputError
from harness.manifest import read_subject
from harness.progress import Silent
from harness.record.report import ClusterInfo, Controller
from harness.record.upgrade import PodEvent, PodUpgrade, Upgrade
from harness.redact import MARK, Redaction, is_secret
from harness.report import files
from harness.run import Result, RunOptions, execute
from harness.scenarios.catalogue import SCENARIOS, Turn
from harness.site import Site
from harness.verdict.gates import Requirements

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzaWRlY2FyIn0.c2lnbmF0dXJlLW9mLWl0"
PEM = "MIIBVgIBADANBgkqhkiG9w0BAQEFAASCAUAwggE8"
SECRETS = [
    "plain-as-day",
    "hunter2-and-3",
    "in 'quotes' too",
    "second line of it",
    "after-an-option",
    "glued-to-its-option",
    "user-of-url:pass-of-url",
    "QWxhZGRpbjpvcGVu",
    JWT,
    PEM,
]
MANIFEST = f"""\
# kept: a comment
apiVersion: apps.kruise.io/v1alpha1
kind: SidecarSet
metadata:
  name: proxy   # kept too
spec:
  selector: {{matchLabels: {{app: web, pod-template-hash: 5d4f8c7b9}}}}
  imagePullSecrets:
  - name: registry-credentials
  containers:
  - name: proxy
    image: team/proxy:v1@sha256:{"0123456789abcdef" * 4}
    args: [--token, after-an-option, "--api-key=glued-to-its-option", --token-file, /etc/token]
    env:
    - value: plain-as-day # who put it here?
      name: API_TOKEN
    - {{name: DB_PASSWORD, value: "hunter2-and-3"}}
    - name: ADMIN_SECRET
      value: 'in ''quotes'' too'
    - name: CREDENTIALS
      value: |
        first line of it
        second line of it
    - name: UPSTREAM
      value: https://user-of-url:pass-of-url@example.test/path
    - name: HEADER
      value: Basic QWxhZGRpbjpvcGVu
    - name: IDENTITY
      value: {JWT}
    - name: SERVER
      value: |
        -----BEGIN RSA PRIVATE KEY-----
        {PEM}
        -----END RSA PRIVATE KEY-----
    - name: TOKEN_FILE
      value: /etc/token
    - name: SIGNING_KEY
      valueFrom: {{secretKeyRef: {{name: signing, key: private-key}}}}
    upgradeStrategy:
      upgradeType: HotUpgrade
      hotUpgradeEmptyImage: team/proxy:empty
"""
SAID = f"listening; token=plain-as-day {JWT} https://user-of-url:pass-of-url@example.test " + " ".join(
    SECRETS
)


@pytest.fixture
def options(tmp_path: Path) -> RunOptions:
    file = tmp_path / "sidecarset.yaml"
    file.write_text(MANIFEST)
    return RunOptions(
        subject=read_subject(file, to=["team/proxy:v2"], port=None, upgrade="hot", container_name=None),
        turns=[Turn(SCENARIOS["single-upgrade"])],
        version_header=None,
        reports=tmp_path / "reports",
        command=["hotupgrade", "run", "--token=plain-as-day", "--password", "hunter2-and-3"],
    )


def told(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text or repr(secret)[1:-1] in text]


def test_the_manifest_is_the_given_text_but_for_its_secrets() -> None:
    shown = Redaction(MANIFEST, []).manifest
    assert told(shown) == []
    same = [line for line in MANIFEST.splitlines() if line in shown.splitlines()]
    assert "# kept: a comment" in same
    assert "  name: proxy   # kept too" in same
    assert f"    - value: '{MARK}' # who put it here?" in shown.splitlines()
    assert "https://[redacted]@example.test/path" in shown
    env = yaml.safe_load(shown)["spec"]["containers"][0]["env"]
    assert [one["name"] for one in env] == re.findall(r"name: ([A-Z_]+)", MANIFEST)


@pytest.mark.parametrize(
    "harmless",
    [
        "image: team/proxy@sha256:" + "0123456789abcdef" * 4,
        "x-request-id: new-connection-3-17",
        "idempotency key: 6f9619ff-8b86-d011-b42d-00cf4fc964ff",
        "secretKeyRef: {name: signing, key: private-key}",
        "--token-file=/etc/token",
        "imagePullSecrets:\n- name: registry-credentials",
        "automountServiceAccountToken: false",
        'secrets "signing" not found',
        "http://10.1.2.3:8080/user@example.test",
        "Basic checks and bearer tokens are off",
    ],
)
def test_what_only_speaks_of_secrets_stays(harmless: str) -> None:
    assert Redaction("", []).text(harmless) == harmless


@pytest.mark.parametrize(
    "name",
    [
        "TOKEN",
        "apiToken",
        "PGPASSWORD",
        "db-password",
        "AWS_SECRET_ACCESS_KEY",
        "TLS_KEY",
        "MYSQL_PWD",
        "apikey",
    ],
)
def test_a_variable_of_such_a_name_is_secret(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    ["TOKEN_FILE", "KEY_NAME", "PUBLIC_KEY", "PWD", "PASSWORD_MIN_LENGTH", "MONKEY", "AWS_ACCESS_KEY_ID"],
)
def test_a_variable_of_such_a_name_is_not(name: str) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ('{"level": "info", "token": "abc"}', '{"level": "info", "token": "[redacted]"}'),
        ("GET /?api_key=abc&page=2", "GET /?api_key=[redacted]&page=2"),
        ("proxy --token abc --port 1", "proxy --token [redacted] --port 1"),
        (f"got {JWT[:30]}", "got [redacted]"),
        ("authorization: Bearer abcdef0123456789", "authorization: Bearer [redacted]"),
    ],
)
def test_a_log_line_loses_what_looks_like_a_secret_and_nothing_else(said: str, shown: str) -> None:
    assert Redaction("", []).text(said) == shown


def test_a_value_of_the_manifest_is_found_in_a_log_line_that_was_cut_off_in_its_middle() -> None:
    assert Redaction(MANIFEST, []).text("using plain-as-d") == "using [redacted]"


def test_headers_of_the_users_requests_are_secret_too() -> None:
    spec = '{"requests": [{"headers": {"Authorization": "Custom very-own", "Accept": "text/plain"}}]}'
    assert Redaction("", [], spec).text("sent very-own, text/plain") == "sent [redacted], text/plain"


def account(options: RunOptions) -> Account:
    subject = options.subject
    required = Requirements(
        min_requests=1,
        upgrades=1,
        pods=1,
        classes=("post",),
        version_header=None,
        alternates=subject.images,
        mode="hot",
        app_ledger=True,
    )
    act = Act(Turn(SCENARIOS["single-upgrade"]), required, image=subject.image)
    return Account(subject, "embedded", options.command, 1, 0.0, acts=[act])


def test_no_file_of_a_report_and_no_line_of_the_summary_holds_a_secret(
    options: RunOptions, tmp_path: Path
) -> None:
    seen = account(options)
    events = [
        PodEvent(at=1.0, source="sidecar", reason="log", message=SAID),
        PodEvent(at=2.0, source="kubelet", reason="Failed", message=SAID),
    ]
    pod = PodUpgrade.model_validate(
        {"name": "web-1", "from": "v1", "to": "v2", "working": "proxy-1", "events": events}
    )
    seen.acts[0].upgrades.append(
        Upgrade.model_validate({"index": 1, "from": "v1", "to": "v2", "patched": 0.5, "pods": [pod]})
    )
    nobody = Controller(name="Kruise", version="1")
    seen.cluster = ClusterInfo(kind="kind", kubernetes="1", controller=nobody, nodes=["n"], notes=[SAID])
    seen.error = ClusterError(f"the API failed: {SAID}")

    report, folder, terminal = seen.report(), tmp_path / "report", io.StringIO()
    files.write(report, folder)
    print_summary(Console(file=terminal, width=200), report, folder)

    assert {file.name: told(file.read_text()) for file in folder.iterdir()} == {
        "report.json": [],
        "summary.md": [],
        "junit.xml": [],
        "badge.svg": [],
        "report.html": [],
    }
    assert told(terminal.getvalue()) == []
    assert MARK in terminal.getvalue()


class Refusing:
    """A cluster whose API says the whole manifest when it refuses it."""

    kind, outlives_run = "current", False

    def __init__(self, error: Exception) -> None:
        self._error = error

    def preflight(self, images: object) -> None:
        pass

    def up(self, site: Site) -> None:
        raise self._error

    def down(self) -> None:
        pass


def run(options: RunOptions, error: Exception) -> Result:
    return execute(options, cast(Any, Refusing(error)), Silent(), before_teardown=lambda: None)


def test_the_line_about_input_that_a_cluster_refuses_holds_no_secret(options: RunOptions) -> None:
    with pytest.raises(InputError) as raised:
        run(options, InputError(f"the cluster refuses the SidecarSet: {SAID}"))
    assert told(str(raised.value)) == []


def test_a_report_of_a_run_that_an_error_ended_holds_no_secret(options: RunOptions) -> None:
    result = run(options, RuntimeError(SAID))
    assert result.report.outcome == "inconclusive"
    assert [told(file.read_text()) for file in result.folder.iterdir()] == [[]] * 5


def test_a_secret_that_is_a_word_of_the_report_does_not_break_it(options: RunOptions, tmp_path: Path) -> None:
    file = tmp_path / "sidecarset.yaml"
    file.write_text(MANIFEST.replace("plain-as-day", "inconclusive"))
    subject = read_subject(file, to=["team/proxy:v2"], port=None, upgrade="hot", container_name=None)
    seen = account(options)
    seen.subject = subject
    assert seen.report().outcome == "inconclusive"
