"""The images: what both builders can read, and the empty one as it behaves."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness.embedded.machine import dockerfile
from tests.sidecar.rig import WITHIN_S

IMAGES = Path(__file__).parents[2] / "images" / "sidecar"
READABLE = {"FROM", "ARG", "ENV", "COPY", "USER", "WORKDIR", "ENTRYPOINT", "CMD", "LABEL", "EXPOSE"}


@pytest.mark.parametrize("tag", ["base", "v1", "v2", "empty"])
def test_a_dockerfile_needs_no_build_step_and_copies_what_is_there(tag: str) -> None:
    for instruction in dockerfile.read(IMAGES / tag / "Dockerfile"):
        assert instruction.name in READABLE
        if instruction.name == "COPY":
            source = IMAGES / tag / instruction.value.split()[0]
            assert source.exists()
            assert source.suffix != ".sh" or os.access(source, os.X_OK)


def test_the_releases_differ_in_the_image_alone() -> None:
    assert [(IMAGES / tag / "release").read_text().strip() for tag in ("v1", "v2")] == ["v1", "v2"]


@pytest.mark.integration
def test_the_empty_image_does_nothing_in_little_memory_and_ends_at_once() -> None:
    assert subprocess.run([IMAGES / "empty" / "nothing.sh"], timeout=WITHIN_S).returncode == 0
    with subprocess.Popen([IMAGES / "empty" / "idle.sh"], start_new_session=True) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        deadline = time.monotonic() + WITHIN_S
        while not children.read_text():  # until it idles
            assert time.monotonic() < deadline
        resident = Path(f"/proc/{process.pid}/status").read_text().split("VmRSS:")[1].split()[0]
        assert int(resident) < 10 * 1024
        process.send_signal(signal.SIGTERM)
        assert process.wait(WITHIN_S) == 0  # far from the hour that it would idle
    with contextlib.suppress(
        ProcessLookupError
    ):  # in a container its sleep ends with it, whenever the signal comes
        os.killpg(process.pid, signal.SIGKILL)
