"""`make fuzz`: every target in turn until FUZZ_SECONDS (60 for all) are over; `NAME HEX` runs one input again.

FUZZ_ENGINE=atheris is guided by coverage, if that package is there; FUZZ_SEED repeats a run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from tests.fuzz.inputs import near, shrink
from tests.fuzz.targets import TARGETS, Target

AT_ONCE = 100  # inputs between two looks at the clock


def fails(target: Target, data: bytes) -> Exception | None:
    """What breaks the contract."""
    try:
        target.run(data)
    except Exception as error:  # whatever it is, the target did not expect it
        return error
    return None


def smallest(target: Target, data: bytes, error: type[Exception]) -> bytes:
    """The least of a finding that fails in the same way."""
    return shrink(data, lambda less: isinstance(fails(target, less), error))


def report(target: Target, data: bytes) -> None:
    """A finding, in a form that becomes a test."""
    error = fails(target, data)
    sys.stdout.write(
        f"{target.name}: {type(error).__name__}: {' '.join(str(error).split())}\n"
        f"  with {data!r}\n"
        f"  again: python -m tests.fuzz {target.name} {data.hex()}\n"
    )


def fuzz(target: Target, seconds: float, seed: int) -> bool:
    """Inputs near the samples until the time is over; False after a finding."""
    random, executions = Random(f"{seed} {target.name}"), 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for _ in range(AT_ONCE):
            data = near(random, target.samples)
            executions += 1
            if (error := fails(target, data)) is not None:
                report(target, smallest(target, data, type(error)))
                return False
    sys.stdout.write(f"{target.name:16} {executions:9,} executions, seed {seed}\n")
    sys.stdout.flush()
    return True


def guided(target: Target, seconds: float) -> bool:
    """The same by atheris, in a process of its own: libFuzzer ends it."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as corpus:
        for number, sample in enumerate(target.samples):
            (Path(corpus) / str(number)).write_bytes(sample)
        options = [f"-max_total_time={max(1, int(seconds))}", "-verbosity=0", "-print_final_stats=1"]
        found = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.fuzz.guided",
                target.name,
                *options,
                f"-artifact_prefix={corpus}/",
                corpus,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    output = found.stdout.decode(errors="replace")
    executions = re.search(r"number_of_executed_units: (\d+)", output)
    if found.returncode or executions is None:
        sys.stdout.write(output)
        return False
    sys.stdout.write(f"{target.name:16} {int(executions[1]):9,} executions, guided by coverage\n")
    sys.stdout.flush()
    return True


def main() -> int:
    """1 if a contract was broken."""
    targets = {target.name: target for target in TARGETS}
    if len(sys.argv) == 3:
        targets[sys.argv[1]].run(bytes.fromhex(sys.argv[2]))
        return 0
    seconds = float(os.environ.get("FUZZ_SECONDS", "60")) / len(targets)
    seed = int(os.environ.get("FUZZ_SEED", time.time_ns() // 10**9))
    if os.environ.get("FUZZ_ENGINE") == "atheris":
        held = [guided(target, seconds) for target in TARGETS]
    else:
        held = [fuzz(target, seconds, seed) for target in TARGETS]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
