"""The run's place on a cluster: a namespace that it makes, names and marks of what it puts there.

On a cluster that outlives the run nothing else is touched. Every object that a run makes carries its labels, so
that `hotupgrade clean` finds what a killed run left; the owner says whether that run still lives. Knows nothing of
what a run does there.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes.client import ApiClient, CoreV1Api

from harness.calls import REQUEST_S, calling

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "hotupgrade"
RUN_LABEL = "hotupgrade/run"
OWNER = "hotupgrade/owner"


@dataclass(frozen=True)
class Site:
    """One run's marks. `run` is unique: UTC start, and four random hexadecimal digits."""

    run: str
    owner: str

    @property
    def namespace(self) -> str:
        """Made by the run, and gone with it."""
        return f"hotupgrade-{self.run}"

    @property
    def labels(self) -> dict[str, str]:
        """On every object that the run makes."""
        return {MANAGED_BY: MANAGER, RUN_LABEL: self.run}

    @property
    def annotations(self) -> dict[str, str]:
        """On the objects by which a run is found: namespace and SidecarSet."""
        return {OWNER: self.owner}

    def create(self, api: ApiClient) -> None:
        """Makes the namespace; ClusterError. One that is there already is somebody else's."""
        core: Any = CoreV1Api(api)
        metadata = {"name": self.namespace, "labels": self.labels, "annotations": self.annotations}
        with calling(f"create namespace {self.namespace}"):
            core.create_namespace({"metadata": metadata}, _request_timeout=REQUEST_S)


def new_site(now: float) -> Site:
    """The site of a run that starts now, owned by this process."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    return Site(run=f"{stamp}-{secrets.token_hex(2)}", owner=own())


def own() -> str:
    """This process, told from every other on any machine: host, pid, and start in clock ticks since boot."""
    return f"{socket.gethostname()}/{os.getpid()}/{_ticks(os.getpid())}"


def lives(owner: str) -> bool | None:
    """Whether the process that `own` named still runs; None if it is another machine's."""
    host, pid, ticks = owner.split("/")
    if host != socket.gethostname():
        return None
    try:
        return _ticks(int(pid)) == ticks
    except OSError:
        return False


def _ticks(pid: int) -> str:
    """Field 22 of /proc/PID/stat; proc(5). The name before it may hold blanks, and ends with the last bracket."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
