"""The fuzz targets hold for their samples and for what lies near; `make fuzz` looks further."""

from __future__ import annotations

import subprocess
import sys
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cases import ROOT
from tests.fuzz.inputs import near, shrink
from tests.fuzz.targets import TARGETS, Target

EACH = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
COMMAND = [sys.executable, "-m", "tests.fuzz"]
PATHS = {"PYTHONPATH": "images/sidecar/base"}


@EACH
def test_the_samples_keep_the_contract(target: Target) -> None:
    for sample in target.samples:
        target.run(sample)


@EACH
@settings(max_examples=60)
@given(random=st.randoms(use_true_random=False))
def test_what_is_near_to_them_does_too(target: Target, random: Random) -> None:
    target.run(near(random, target.samples))


def test_a_seed_gives_the_same_bytes_again() -> None:
    samples = TARGETS[0].samples
    first, second = ([near(Random(7), samples) for _ in range(50)] for _ in range(2))
    assert first == second


def test_a_finding_shrinks_to_what_causes_it() -> None:
    assert shrink(b"GET / HTTP/1.1\r\nX: a\0b\r\nHost: c\r\n", lambda data: b"\0" in data) == b"\0"


def test_a_run_is_bounded_and_counts() -> None:
    found = subprocess.run(
        COMMAND,
        cwd=ROOT,
        env={**PATHS, "FUZZ_SECONDS": "0.1", "FUZZ_SEED": "7"},
        capture_output=True,
        text=True,
    )
    assert (found.returncode, found.stderr) == (0, "")
    assert [line.split()[0] for line in found.stdout.splitlines()] == [target.name for target in TARGETS]
    assert all(line.endswith("executions, seed 7") for line in found.stdout.splitlines())


def test_an_input_is_run_again_by_name() -> None:
    found = subprocess.run([*COMMAND, "chunks", b"0\r\n\r\n".hex()], cwd=ROOT, env=PATHS, capture_output=True)
    assert (found.returncode, found.stdout, found.stderr) == (0, b"", b"")
