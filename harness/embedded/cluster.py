"""The embedded cluster as the host sees it: start one, find it again, end it.

Knows how the control plane is started and reached; nothing of what runs on it.
"""

from __future__ import annotations

import base64
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import client as k8s

from harness.embedded import management
from harness.embedded.machine.launcher import Machine, launch
from harness.errors import ClusterError, InputError

UP_WITHIN_S = 30.0  # takes about a second; a machine that swaps may take longer
DOWN_WITHIN_S = 5.0  # takes well under a second; then SIGKILL


@dataclass(frozen=True)
class Found:
    """A cluster that lives on its own."""

    pid: int
    kubeconfig: dict[str, Any]
    started: float

    @property
    def server(self) -> str:
        """The API's address."""
        return str(self.kubeconfig["clusters"][0]["cluster"]["server"])


def connect(kubeconfig: dict[str, Any]) -> k8s.ApiClient:
    """A client of the API that an embedded cluster's kubeconfig names; it verifies the server's certificate.

    The library's own reader writes the authority into a temporary file, which stays when this process is killed.
    """
    cluster, user = kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    bearer = {"BearerToken": f"Bearer {user['token']}"}
    return k8s.ApiClient(k8s.Configuration(host=cluster["server"], api_key=bearer, ca_cert_data=authority))


def listen(port: int) -> socket.socket:
    """The API's listening socket on loopback; InputError when the port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise InputError(
            f"--api-port {port}: {os.strerror(error.errno or 0)}; give another, or 0 for any free one"
        ) from error
    listener.listen(128)
    return listener


class EmbeddedMachine:
    """A started cluster. It dies with this process unless `release` was called."""

    def __init__(self, machine: Machine, kubeconfig: dict[str, Any], name: str | None) -> None:
        self.machine, self.kubeconfig, self._name = machine, kubeconfig, name

    def client(self) -> k8s.ApiClient:
        """A new client of its API."""
        return connect(self.kubeconfig)

    def release(self) -> None:
        """Lets it live on after this process; it is found again by its name."""
        if self._name is None:
            raise ValueError("a cluster without a name cannot be found again")
        management.ask(self._name, verb="released", pid=self.machine.pid)
        self.machine.release()

    def stop(self) -> None:
        """Ends it and all that runs in it."""
        self.machine.stop(DOWN_WITHIN_S)


def start(
    *, images: Sequence[Path], api_port: int, kubelet_backoff: bool, keep_as: str | None = None
) -> EmbeddedMachine:
    """Starts a cluster and waits until its API answers; InputError, ClusterError."""
    api = listen(api_port)
    manager: socket.socket | None = None
    if keep_as is not None:
        try:
            manager = management.listen(keep_as)
        except FileExistsError:
            api.close()
            raise InputError(
                f"cluster {keep_as} is up already; end it with `hotupgrade cluster down`, or choose --name"
            ) from None
    ready, report = os.pipe()
    log = os.memfd_create("control-plane")  # a log without a file: nothing to leave behind
    handed = [api.fileno(), report, *([manager.fileno()] if manager else [])]
    argv = [
        sys.executable,
        "-m",
        "harness.embedded.controlplane",
        "--api-fd",
        str(api.fileno()),
        "--report-fd",
        str(report),
    ]
    argv += ["--manager-fd", str(manager.fileno())] if manager else []
    argv += ["--name", keep_as] if keep_as else []
    argv += ["--kubelet-backoff"] if kubelet_backoff else []
    try:
        machine = launch(argv, images=images, pass_fds=handed, env=None, name=keep_as or "run", log_fd=log)
    except BaseException:
        os.close(ready)
        raise
    finally:
        api.close()
        os.close(report)
        if manager:
            manager.close()
    try:
        return EmbeddedMachine(machine, _await_report(ready, log), keep_as)
    except BaseException:
        machine.stop(DOWN_WITHIN_S)
        raise
    finally:
        os.close(ready)
        os.close(log)


def _await_report(ready: int, log: int) -> dict[str, Any]:
    """The kubeconfig that the control plane writes when it answers; ClusterError with the end of its log otherwise."""
    deadline, text = time.monotonic() + UP_WITHIN_S, b""
    while not text.endswith(b"\n"):
        if not select.select([ready], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise ClusterError(f"the embedded cluster did not come up within {UP_WITHIN_S:.0f} s{_tail(log)}")
        chunk = os.read(ready, 65536)
        if not chunk:
            raise ClusterError(f"the embedded cluster ended while it came up{_tail(log)}")
        text += chunk
    kubeconfig: dict[str, Any] = json.loads(text)
    return kubeconfig


def _tail(log: int) -> str:
    size = os.fstat(log).st_size
    lines = os.pread(log, 16384, max(0, size - 16384)).decode(errors="replace").strip().splitlines()
    return "".join(f"\n  {line}" for line in lines[-20:])


def find(name: str) -> Found | None:
    """The cluster of that name, if there is one."""
    answer = management.ask(name, verb="describe")
    return Found(answer["pid"], answer["kubeconfig"], answer["started"]) if answer else None


def end(name: str) -> bool:
    """Ends the cluster of that name and waits until it is gone; False when there is none."""
    found = find(name)
    if found is None:
        return False
    try:
        handle = os.pidfd_open(found.pid)
    except ProcessLookupError:
        return True
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            signal.pidfd_send_signal(handle, number)
            if select.select([handle], [], [], DOWN_WITHIN_S)[0]:
                return True
    except ProcessLookupError:
        return True
    finally:
        os.close(handle)
    raise ClusterError(f"cluster {name}: process {found.pid} does not end")


def pods(found: Found) -> Iterator[tuple[str, str, str, str, str]]:
    """Namespace, name, phase, ready containers and address of every pod."""
    core: Any = k8s.CoreV1Api(connect(found.kubeconfig))
    for pod in core.list_pod_for_all_namespaces().items:
        statuses = pod.status.container_statuses or []
        ready = f"{sum(status.ready for status in statuses)}/{len(pod.spec.containers)}"
        yield pod.metadata.namespace, pod.metadata.name, pod.status.phase, ready, pod.status.pod_ip or ""
