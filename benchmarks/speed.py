"""`python -m benchmarks.speed`: the sidecar beside Envoy, HAProxy and nginx, each alone on one core.

wrk and the application share the other core. All proxies are up during the whole run; each repetition measures all of
them in turn, the first one being another each time.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import BenchError, contestants, machine, results, running, wrk

REPETITIONS = 3
WARM_UP_S = 1
RESULTS = Path(__file__).with_name("results.md")
_PAGE = """# Speed of the sidecar

`make bench` wrote this, {when}: {machine}; load average before the run {load:.1f}.

{versions}

wrk with {connections} keep-alive connections and an x-request-id of its own for every request, {length} bytes in
every answer, {seconds} s for each of {repetitions} interleaved repetitions. Each proxy is alone on one core and has one
thread that carries traffic. wrk and the application (nginx, a constant answer) share the other core, and can be what
limits the fast ones: "core in use" says how much of its core a proxy took, "requests per core-second" what it would
do with all of it. Every proxy adds X-Forwarded-For, X-Forwarded-Proto and x-sidecar-version. The
sidecar remembers the last 256 heads of answers that it has judged; where no two answers are alike, that is of no use.
Medians; spread is (most - least) / median.

{table}

Of the sidecar:

{verdicts}
"""


def main() -> int:
    """0 measured, whatever the figures; 1 could not measure; 2 something is missing."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--seconds", type=int, default=6, help="of each measurement (default: 6)")
    seconds = parser.parse_args().seconds
    cores = sorted(os.sched_getaffinity(0))
    missing = contestants.missing()
    if len(cores) < 2:
        missing.append("two cores are needed, one of them for the proxy alone")
    if missing:
        print(f"bench: {'; '.join(missing)}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is ended on the way out
    before = machine.load()
    try:
        runs = measure(cores[-1], cores[0], seconds)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    page = _PAGE.format(
        when=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        machine=machine.describe(),
        load=before,
        versions="\n".join(f"- {line}" for line in _versions()),
        connections=wrk.CONNECTIONS,
        length=len(contestants.BODY),
        seconds=seconds,
        repetitions=REPETITIONS,
        table=results.table(runs),
        verdicts="\n".join(f"- {'yes' if so else 'NO'}: {text}" for so, text in results.verdicts(runs)),
    )
    RESULTS.write_text(page)
    print(page)
    return 0


def measure(proxy_core: int, other_core: int, seconds: int) -> dict[str, list[results.Run]]:
    """All contestants, all repetitions."""
    names = [results.DIRECT, *(proxy.name for proxy in contestants.PROXIES), contestants.UNLIKE]
    runs: dict[str, list[results.Run]] = {name: [] for name in names}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))

        def start(name: str, port: int, core: int, launch: contestants.Launch) -> int:
            log = folder / name / "output"
            return stack.enter_context(running.running(launch.command, port, core, log, launch.environment))

        def home(name: str) -> Path:
            (folder / name).mkdir()
            return folder / name

        upstream = running.free_port()
        start("application", upstream, other_core, contestants.application(home("application"), upstream))
        ports, pids = {results.DIRECT: upstream}, {}
        for proxy in contestants.PROXIES:
            port = ports[proxy.name] = running.free_port()
            launch = proxy.launch(home(proxy.name), port, upstream)
            pids[proxy.name] = start(proxy.name, port, proxy_core, launch)
            check(proxy.name, port)
        ports[contestants.UNLIKE], pids[contestants.UNLIKE] = (
            ports[contestants.SIDECAR],
            pids[contestants.SIDECAR],
        )
        for repetition in range(REPETITIONS):
            for name in names[repetition:] + names[:repetition]:
                path = "/unlike" if name == contestants.UNLIKE else "/"
                _load(ports[name], path, other_core, WARM_UP_S)
                used = running.cpu_seconds(pids[name]) if name in pids else 0.0
                seen = _load(ports[name], path, other_core, seconds)
                used = running.cpu_seconds(pids[name]) - used if name in pids else 0.0
                run = results.Run(seen.per_second, seen.p99_ms, used * seen.per_second / seen.requests)
                runs[name].append(run)
                print(f"{repetition + 1}/{REPETITIONS} {name}: {run.per_second:,.0f} requests/s", flush=True)
    return runs


def check(name: str, port: int) -> None:
    """A proxy does what all have to do, or BenchError."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/seen", timeout=5) as answer:
        seen, stamp = answer.read().decode(), answer.headers["x-sidecar-version"]
    address, _, scheme = seen.partition(
        " "
    )  # Envoy names this machine's own address instead of the loopback's
    if not address or scheme != "http" or not stamp:
        raise BenchError(
            f"{name} does not add its headers: the application saw {seen!r}, the client {stamp!r}"
        )


def _load(port: int, path: str, core: int, seconds: int) -> wrk.Load:
    command = running.pinned(core, wrk.command(port, path, seconds))
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
    return wrk.parse(done.stdout + done.stderr)


def _versions() -> list[str]:
    found = [f"{proxy.name}: {proxy.version()}" for proxy in contestants.PROXIES]
    return [*found, f"wrk: {contestants.wrk_version()}"]


if __name__ == "__main__":
    sys.exit(main())
