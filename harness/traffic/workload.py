"""Manifests of the application and of the load generator. Pure functions; knows nothing of any cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import InputError

APP_IMAGE = "app:v1"
LOADGEN_IMAGE = "loadgen:v1"

APP_ADMIN_PORT = 8081  # the application's ledger and readiness
MASTER_WEB_PORT = 8089  # Locust's web API
MASTER_BUS_PORT = 5557  # where Locust's workers report
LEDGER_PORT = 8090  # a worker's ledger
GRACE_S = 1  # after the ledgers were read, there is nothing to wait for
FINISH_S = (
    12  # after a stop, users may finish their request: more than the client's time-out for an answer, 10 s
)

CONFIG_MAP = "loadtests"
MASTER = "loadgen-master"
MOUNT = "/loadtests/loadtests"  # its parent is on the image's PYTHONPATH
LOADTESTS = Path(__file__).resolve().parents[2] / "loadtests"


@dataclass(frozen=True)
class Target:
    """A pod's sidecar, where the load goes."""

    pod: str
    ip: str
    port: int


def worker_name(index: int) -> str:
    """Name of a worker's pod."""
    return f"loadgen-worker-{index}"


def app_deployment(
    name: str, namespace: str, labels: Mapping[str, str], image: str = APP_IMAGE, replicas: int = 2
) -> dict[str, Any]:
    """The application that the sidecar is injected beside; the pods carry `labels`."""
    container = {
        "name": "app",
        "image": image,
        "ports": [{"name": "admin", "containerPort": APP_ADMIN_PORT}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": APP_ADMIN_PORT}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": dict(labels)},
            "template": {
                "metadata": {"labels": dict(labels)},
                "spec": {"terminationGracePeriodSeconds": GRACE_S, "containers": [container]},
            },
        },
    }


def config_map(namespace: str, folder: Path = LOADTESTS) -> dict[str, Any]:
    """The Locust files, as they lie in the checkout."""
    files = sorted(folder.glob("*.py"))
    if not files:
        raise InputError(f"no Locust files in {folder}: run hotupgrade from a checkout of its repository")
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CONFIG_MAP, "namespace": namespace},
        "data": {file.name: file.read_text() for file in files},
    }


def environment(
    targets: Sequence[Target], classes: Sequence[str], version_header: str | None, pace: float
) -> dict[str, str]:
    """What the Locust files read; loadtests/settings.py describes it."""
    return {
        "TARGETS": ",".join(f"{target.pod}={_host(target.ip)}:{target.port}" for target in targets),
        "CLASSES": ",".join(classes),
        "VERSION_HEADER": version_header or "",
        "PACE": f"{pace:g}",
        "LEDGER_PORT": str(LEDGER_PORT),
    }


def master_pod(namespace: str, image: str, variables: Mapping[str, str]) -> dict[str, Any]:
    """Locust's master: no load of its own, started and stopped over its web API."""
    bus = ["--master", "--master-bind-port", str(MASTER_BUS_PORT)]
    arguments = [*bus, "--web-port", str(MASTER_WEB_PORT), "--stop-timeout", str(FINISH_S)]
    return _pod(MASTER, "master", namespace, image, variables, arguments, [MASTER_BUS_PORT, MASTER_WEB_PORT])


def worker_pod(
    index: int, namespace: str, image: str, variables: Mapping[str, str], master_ip: str
) -> dict[str, Any]:
    """A Locust worker: makes the load and keeps the ledger."""
    arguments = ["--worker", "--master-host", master_ip, "--master-port", str(MASTER_BUS_PORT)]
    return _pod(worker_name(index), "worker", namespace, image, variables, arguments, [LEDGER_PORT])


def _pod(
    name: str,
    component: str,
    namespace: str,
    image: str,
    variables: Mapping[str, str],
    arguments: Sequence[str],
    ports: Sequence[int],
) -> dict[str, Any]:
    container = {
        "name": "locust",
        "image": image,
        "args": list(arguments),
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "ports": [{"containerPort": port} for port in ports],
        "volumeMounts": [{"name": CONFIG_MAP, "mountPath": MOUNT, "readOnly": True}],
    }
    labels = {"app.kubernetes.io/name": "hotupgrade-loadgen", "app.kubernetes.io/component": component}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "restartPolicy": "Never",  # a worker that was restarted has lost its ledger
            "terminationGracePeriodSeconds": GRACE_S,
            "containers": [container],
            "volumes": [{"name": CONFIG_MAP, "configMap": {"name": CONFIG_MAP}}],
        },
    }


def _host(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip
