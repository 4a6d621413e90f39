"""Tries on this host what a machine needs, in a throw-away child that leaves nothing, and knows the remedies.

`check` is for the host; this module's `main` is the child.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.embedded.machine import keeper, layout, linux
from harness.embedded.machine.launcher import ENTRY, SOURCE_ROOT

WITHIN_S = 20.0  # takes half a second
CHILD = ENTRY.format(root=str(SOURCE_ROOT), module="check")
SETTINGS = (
    ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=10000"),
)


@dataclass(frozen=True)
class Finding:
    """Something that a machine needs, whether it works here, and what helps if not."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def check() -> list[Finding]:
    """Everything that was tried, up to the first that does not work."""
    if not sys.platform.startswith("linux"):
        return [
            Finding(
                "Linux", False, f"this is {sys.platform}", "run it on Linux, or in a Linux virtual machine"
            )
        ]
    try:
        done = subprocess.run(
            [sys.executable, "-c", CHILD],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
        )
    except subprocess.TimeoutExpired:
        return [Finding("namespaces", False, f"the trial did not end within {WITHIN_S:.0f} s", remedy())]
    findings = [Finding(**json.loads(line)) for line in done.stdout.splitlines()]
    if not findings or (findings[-1].ok and len(findings) < len(TRIALS) + 1):
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        findings.append(Finding("namespaces", False, f"the trial ended early: {last[0]}", remedy()))
    return findings


def remedy(settings: Path = Path("/proc/sys")) -> str:
    """What helps against refused namespaces on this host, the surest first."""
    helps = []
    for name, bad, command in SETTINGS:
        try:
            if (settings / name).read_text().strip() == bad:
                helps.append(f"`{command}` as root")
        except OSError:
            continue  # this kernel has no such setting
    if os.geteuid() == 0:
        helps.append("in a container: start it with more privileges, e.g. `docker run --privileged`")
    else:
        helps.append("run as root")
    return ", or ".join(helps)


def _try_user() -> str:
    if keeper.privileged():
        return "root, no user namespace needed"
    keeper.enter_user_namespace()
    return "user namespace of an ordinary user"


def _try_namespaces() -> str:
    linux.unshare(keeper.NAMESPACES)
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os._exit(code)
    return "mount, PID, network, IPC and UTS"


def _try_mounts() -> str:
    from harness.embedded.machine import init, rootfs

    init.make_mounts()
    for name in ("image", "shm"):
        (layout.STATE / name).mkdir()
    child = os.fork()
    if child == 0:
        linux.unshare(linux.CLONE_NEWNS)
        _report_failure(
            lambda: rootfs.build(
                f"{layout.STATE}/image", False, [], f"{layout.STATE}/shm", not keeper.privileged()
            )
        )
    if os.waitpid(child, 0)[1]:
        os._exit(1)
    return "tmpfs, proc, overlay, read-only views, pivot_root"


def _report_failure(trial: Callable[[], None]) -> None:
    try:
        trial()
    except OSError as error:
        _tell(Finding("mounts", False, str(error), remedy()))
        os._exit(1)
    os._exit(0)


def _try_network() -> str:
    from harness.embedded.machine import network

    network.make_bridge()
    network.make_sandbox(1, "trial")
    with socket.create_server((network.address(1), 0)):
        return "bridge, veth, a pod's network namespace"


TRIALS: tuple[tuple[str, Callable[[], str]], ...] = (
    ("user", _try_user),
    ("namespaces", _try_namespaces),
    ("mounts", _try_mounts),
    ("network", _try_network),
)


def _tell(finding: Finding) -> None:
    print(json.dumps(asdict(finding)), flush=True)  # noqa: T201 - the child's answer


def main() -> None:
    """The child: a line of JSON for each finding."""
    _tell(Finding("kernel", True, f"{os.uname().sysname} {os.uname().release}"))
    for name, trial in TRIALS:
        try:
            _tell(Finding(name, True, trial()))
        except Exception as error:
            detail = (
                error.strerror or str(error)
                if isinstance(error, OSError)
                else f"{type(error).__name__}: {error}"
            )
            _tell(Finding(name, False, detail, remedy()))
            os._exit(1)
    os._exit(0)
