"""`hotupgrade load-test` on the embedded cluster: bad input, and a signal in the middle."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "e2e" / "manifests" / "reference-sidecarset.yaml"
COMMAND = [str(Path(sys.executable).with_name("hotupgrade")), "load-test"]
REFUSED_WITHIN_S, FLOWS_WITHIN_S, ENDS_WITHIN_S = 60.0, 180.0, 60.0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-f", "/nowhere.yaml"], "/nowhere.yaml"),
        (["-f", str(MANIFEST), "--duration", "0"], "'--duration': 0.0 is not in the range"),
        (["-f", str(MANIFEST), "--ramp-to", "0.1"], "'--ramp-to': 0.1 is not in the range"),
        (["-f", str(MANIFEST), "--workers", "0"], "'--workers': 0 is not in the range"),
        (["-f", str(MANIFEST), "--to", "sidecar:v9"], "no image 'sidecar:v9'"),
        ([], "Missing option '-f' / '--file'"),
    ],
)
def test_bad_input_is_refused_in_one_line(tmp_path: Path, options: list[str], said: str) -> None:
    command = [*COMMAND, *options, "--reports", str(tmp_path / "reports")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=REFUSED_WITHIN_S, check=False)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert said in line
    assert not any(tmp_path.rglob("*.json"))


def test_a_signal_in_the_ramp_leaves_the_steps_that_were_seen(tmp_path: Path) -> None:
    command = [*COMMAND, "-f", str(MANIFEST), "--ramp-to", "1", "--reports", str(tmp_path)]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert run.stdout is not None
        deadline = time.monotonic() + FLOWS_WITHIN_S
        sent = 0
        while sent < 5000:  # more than a step's
            line = run.stdout.readline()
            assert line, "the run ended"
            assert time.monotonic() < deadline, line
            sent = int(line.split("requests")[1].split()[0].replace(",", "")) if " sent, " in line else sent
        run.send_signal(signal.SIGINT)
        said = run.stdout.read()
        assert run.wait(ENDS_WITHIN_S) == 130, said
    finally:
        if run.poll() is None:
            run.kill()
            run.wait()
        if run.stdout is not None:
            run.stdout.close()
    record = json.loads((tmp_path / "latest" / "load-test.json").read_text())
    assert (record["outcome"], record["soak"]) == ("interrupted", None)
    assert record["ramp"]
    assert record["ramp"][0]["asked"] == pytest.approx(780, rel=0.1)
    assert "Interrupted" in (tmp_path / "latest" / "load-test.html").read_text()
