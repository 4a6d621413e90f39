"""Wrong input: exit code 2, one line that says what, where and how to mend it, and nothing was started."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "e2e" / "manifests" / "hotupgrade-sidecarset.yaml"
WITHIN_S = 60  # takes half a second


def hotupgrade(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("hotupgrade")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a refusal."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--upgrades", "0"], "'--upgrades': 0 is not in the range"),
        (["--pods", "0"], "'--pods': 0 is not in the range"),
        (["--to", "sidecar:v9"], "no image 'sidecar:v9'; did you mean"),
        (["--to", "sidecar:empty"], "is the empty image of the pair"),
        (["--images", "/nowhere"], "/nowhere: no such folder of images"),
        (["--port", "70000"], "'--port': 70000 is not in the range"),
        (["--cluster", "minikube"], "'--cluster': 'minikube' is not one of 'embedded', 'kind', 'current'"),
        (["--cluster", "current", "--kubeconfig", "/nowhere"], "/nowhere"),
        (["--target", "deployment/shop"], "--target and --load-spec go together"),
        (["--target", "pod/shop", "--upgrades-per-pod", "2"], "--target and --upgrades-per-pod"),
        (["--container", "other"], "--container other: spec.containers has sidecar; name one of them"),
        (["--scenario", "rolback"], "--scenario rolback: there is none of that name; do you mean roll-back"),
        (["--profile", "gold"], "'--profile': 'gold' is not one of 'core', 'extended', 'resilience', 'all'"),
        (["--profile", "core", "--pods", "3"], "--pods: scenarios of the catalogue say that themselves"),
        (["--shape", "constant:0"], "ends with a factor of 0, and nothing would be sent any more"),
        (["--shape", "wave:3"], "'wave:3' is no shape"),
        (["--workers", "0"], "'--workers': 0 is not in the range"),
        (["--bogus"], "No such option '--bogus'"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line(tmp_path: Path, options: list[str], said: str) -> None:
    reports = tmp_path / "reports"
    assert said in refused(hotupgrade("run", "-f", str(MANIFEST), "--reports", str(reports), *options))
    assert not reports.exists() or not any(reports.iterdir())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no such file"),
        ("a: [", "not YAML"),
        ("kind: Pod\napiVersion: v1\n", "SidecarSet"),
        (MANIFEST.read_text().replace("HotUpgrade", "ColdUpgrade"), "HotUpgrade"),
        (MANIFEST.read_text().replace("hotUpgradeEmptyImage: sidecar:empty", ""), "hotUpgradeEmptyImage"),
        (MANIFEST.read_text().replace("sidecar:empty", "sidecar:v1"), "are both sidecar:v1"),
    ],
)
def test_a_wrong_manifest_is_refused_in_one_line(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "sidecarset.yaml"
    if text is not None:
        path.write_text(text)
    line = refused(hotupgrade("run", "-f", str(path), "--reports", str(tmp_path / "reports")))
    assert str(path) in line
    assert said in line


def test_a_port_in_use_is_refused_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        reports = str(tmp_path / "reports")
        line = refused(hotupgrade("run", "-f", str(MANIFEST), "--reports", reports, "--api-port", port))
    assert f"--api-port {port}" in line


def test_reports_that_cannot_be_written_are_refused_in_one_line() -> None:
    assert "--reports /proc/reports" in refused(
        hotupgrade("run", "-f", str(MANIFEST), "--reports", "/proc/reports")
    )


def test_every_command_has_help_with_an_example() -> None:
    for command in (
        ["run"],
        ["doctor"],
        *(["cluster", verb] for verb in ("up", "down", "status", "kubeconfig")),
    ):
        done = hotupgrade(*command, "--help")
        assert done.returncode == 0
        assert "Example" in done.stdout, command
        assert "hotupgrade " + " ".join(command) in done.stdout
