"""Commands in containers, as `kubectl exec` runs them. Knows nothing of what is run."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kubernetes.client import ApiClient, CoreV1Api
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import stream
from kubernetes.stream.ws_client import ERROR_CHANNEL, STDERR_CHANNEL, STDOUT_CHANNEL

from harness.calls import reason_of
from harness.errors import ClusterError

TURN_S = 0.2  # how soon the end of a session that says nothing is seen


@dataclass(frozen=True)
class Executed:
    """How a command ended; `output` is what it wrote, both streams. No `code`: its container ended under it."""

    code: int | None
    output: str


def execute(
    client: ApiClient, namespace: str, pod: str, container: str, command: Sequence[str], within_s: float
) -> Executed:
    """Runs it until it ends; ClusterError when it cannot be run, or takes too long. `client` is this call's own."""
    what = f"{' '.join(command)[:60]} in {pod}/{container}"
    try:
        with _authority(client):
            call: Any = CoreV1Api(client).connect_get_namespaced_pod_exec
            session = stream(
                call,
                pod,
                namespace,
                container=container,
                command=list(command),
                stdin=False,
                stdout=True,
                stderr=True,
                tty=False,
                _preload_content=False,
                _request_timeout=within_s,
            )
        deadline, output = time.monotonic() + within_s, ""
        while session.is_open():
            if time.monotonic() > deadline:
                raise ClusterError(f"cannot run {what}: no end within {within_s:g} s")
            session.update(timeout=TURN_S)
            output += _written(session)
        output += _written(session)
        return Executed(_code(session.read_channel(ERROR_CHANNEL)), output)
    except ApiException as error:
        raise ClusterError(f"cannot run {what}: {reason_of(error)}") from error


def _written(session: Any) -> str:
    """What came since the last time; the library's own way to read all throws the exit status away."""
    return "".join(session.read_channel(channel) for channel in (STDOUT_CHANNEL, STDERR_CHANNEL))


def _code(status: str) -> int | None:
    """The exit code in the Status that ends a session; that of a failure has it among its causes."""
    if not status:
        return None
    said = json.loads(status)
    if said["status"] == "Success":
        return 0
    causes = (said.get("details") or {}).get("causes") or []
    return next((int(cause["message"]) for cause in causes if cause.get("reason") == "ExitCode"), 1)


@contextmanager
def _authority(client: ApiClient) -> Iterator[None]:
    """The library's websocket takes the authority from a file only: a file in memory leaves nothing behind."""
    configuration: Any = client.configuration
    data = getattr(configuration, "ca_cert_data", None)
    if configuration.ssl_ca_cert or not data:
        yield
        return
    memory = os.memfd_create("authority")
    try:
        os.write(memory, data.encode() if isinstance(data, str) else data)
        configuration.ssl_ca_cert = f"/proc/self/fd/{memory}"
        yield
    finally:
        configuration.ssl_ca_cert = None
        os.close(memory)
