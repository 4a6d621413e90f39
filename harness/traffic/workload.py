"""Manifests of the application and of the load generator. Pure functions; knows nothing of any cluster."""

from __future__ import annotations

import runpy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.site import Site

APP_IMAGE = "app:v1"
LOADGEN_IMAGE = "loadgen:v1"

APP_CONTAINER = "app"
APP_STATE = "state"  # the volume in which its ledger outlives the container
APP_ADMIN_PORT = 8081  # the application's ledger and readiness
MASTER_WEB_PORT = 8089  # Locust's web API
MASTER_BUS_PORT = 5557  # where Locust's workers report
CPU = {"master": "50m", "worker": "500m", "probe": "50m"}
"""A pod without a request is last in line for a busy node's processor, and a generator that is late proves nothing."""
NODE = "kubernetes.io/hostname"
LEDGER_PORT = 8090  # a worker's ledger
GRACE_S = 1  # after the ledgers were read, there is nothing to wait for
FINISH_S = (
    12  # after a stop, users may finish their request: more than the client's time-out for an answer, 10 s
)

VOLUME = "loadtests"
MOUNT = "/loadtests/loadtests"  # its parent is on the image's PYTHONPATH
LOADTESTS = Path(__file__).resolve().parents[2] / "loadtests"

CONSTANT = "constant"
"""The shape of a load whose rate stays as it is; loadtests/shapes.py has all shapes."""


@dataclass(frozen=True)
class Target:
    """A pod's sidecar, where the load goes."""

    pod: str
    ip: str
    port: int


@dataclass(frozen=True)
class PodsOf:
    """The pods under test: where they are and what selects them."""

    namespace: str
    labels: Mapping[str, str]


def config_map_name(lap: int) -> str:
    """The Locust files of a lap."""
    return f"loadgen-{lap}"


def master_name(lap: int) -> str:
    """The pod of a lap's Locust master."""
    return f"loadgen-{lap}-master"


def probe_name(lap: int) -> str:
    """The pod that tries what is spoken, before a lap's load."""
    return f"loadgen-{lap}-probe"


def worker_name(lap: int, index: int) -> str:
    """The pod of a lap's worker; clients are named after it, so no request id comes twice in a run."""
    return f"loadgen-{lap}-worker-{index}"


def service_name(site: Site, lap: int) -> str:
    """The Service of a lap; unique, since it lies beside the pods, which may be the user's."""
    return f"hotupgrade-{site.run}-{lap}"


def app_name(lap: int) -> str:
    """The Deployment of a lap's application."""
    return f"application-{lap}"


def app_deployment(
    site: Site, lap: int, labels: Mapping[str, str], image: str = APP_IMAGE, replicas: int = 2
) -> dict[str, Any]:
    """A lap's application, beside which the sidecar is injected; the pods carry `labels`."""
    name, labels = app_name(lap), {**site.labels, **labels}
    container = {
        "name": APP_CONTAINER,
        "image": image,
        "ports": [{"name": "admin", "containerPort": APP_ADMIN_PORT}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": APP_ADMIN_PORT}, "periodSeconds": 1},
        "volumeMounts": [{"name": APP_STATE, "mountPath": "/var/lib/app"}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": site.namespace, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "topologySpreadConstraints": [_spread(labels)],
                    "containers": [container],
                    "volumes": [{"name": APP_STATE, "emptyDir": {}}],
                },
            },
        },
    }


def trial_pods(site: Site, *, application: bool) -> list[dict[str, Any]]:
    """One of each kind of pod that a run makes, to try whether a namespace takes it."""
    labels = {"hotupgrade/trial": "true"}
    template = app_deployment(site, 0, labels)["spec"]["template"]
    metadata = {**template["metadata"], "name": app_name(0), "namespace": site.namespace}
    app = {"apiVersion": "v1", "kind": "Pod", **template, "metadata": metadata}
    generator = Generator(site, 0, LOADGEN_IMAGE, {}, PodsOf(site.namespace, labels))
    return [*([app] if application else []), generator.master(), generator.worker(0, "0.0.0.0")]


def service(site: Site, lap: int, namespace: str, selector: Mapping[str, str], port: int) -> dict[str, Any]:
    """A Service in front of the pods under test, with the sidecar's port."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": service_name(site, lap), "namespace": namespace, "labels": site.labels},
        "spec": {"selector": dict(selector), "ports": [{"port": port, "targetPort": port}]},
    }


def _spread(labels: Mapping[str, str]) -> dict[str, Any]:
    """Over nodes as evenly as they allow."""
    return {
        "maxSkew": 1,
        "topologyKey": NODE,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": dict(labels)},
    }


def _away_from(subject: PodsOf) -> dict[str, Any]:
    """On another node than the pods under test, where there is one: the load should not take their processor."""
    term = {
        "topologyKey": NODE,
        "namespaces": [subject.namespace],
        "labelSelector": {"matchLabels": dict(subject.labels)},
    }
    preferred = [{"weight": 100, "podAffinityTerm": term}]
    return {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}


def config_map(site: Site, lap: int, folder: Path = LOADTESTS) -> dict[str, Any]:
    """The Locust files, as they lie in the checkout."""
    files = sorted(folder.glob("*.py"))
    if not files:
        raise _no_checkout(folder)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": config_map_name(lap),
            "namespace": site.namespace,
            "labels": site.labels,
        },
        "data": {file.name: file.read_text() for file in files},
    }


def environment(
    targets: Sequence[Target],
    classes: Sequence[str],
    version_header: str | None,
    pace: float,
    load_spec: str = "",
    service: str = "",
    shape: str = CONSTANT,
    clients: Mapping[str, tuple[int, float]] | None = None,
) -> dict[str, str]:
    """What the Locust files read; loadtests/settings.py describes it."""
    return {
        "TARGETS": ",".join(f"{target.pod}={_host(target.ip)}:{target.port}" for target in targets),
        "CLASSES": ",".join(classes),
        "VERSION_HEADER": version_header or "",
        "PACE": f"{pace:g}",
        "LEDGER_PORT": str(LEDGER_PORT),
        "LOAD_SPEC": load_spec,
        "SERVICE": service,
        "SHAPE": shape,
        "CLIENTS": ",".join(
            f"{name}={count}/{seconds:g}" for name, (count, seconds) in (clients or {}).items()
        ),
    }


def check_shape(shape: str) -> None:
    """InputError for a shape that the load generator does not know: its own reader says what is wrong with it."""
    try:
        runpy.run_path(str(LOADTESTS / "shapes.py"))["read"](shape)
    except ValueError as error:
        raise InputError(f"load shape {error}") from None
    except OSError:
        raise _no_checkout(LOADTESTS) from None


def _no_checkout(folder: Path) -> InputError:
    return InputError(f"no Locust files in {folder}: run hotupgrade from a checkout of its repository")


@dataclass(frozen=True)
class Generator:
    """The load generator's pods of a lap; `variables` is what the Locust files read, `subject` what they load."""

    site: Site
    lap: int
    image: str
    variables: Mapping[str, str]
    subject: PodsOf

    def master(self) -> dict[str, Any]:
        """Locust's master: no load of its own, started and stopped over its web API."""
        bus = ["--master", "--master-bind-port", str(MASTER_BUS_PORT)]
        arguments = [*bus, "--web-port", str(MASTER_WEB_PORT), "--stop-timeout", str(FINISH_S)]
        return self._pod(master_name(self.lap), "master", arguments, [MASTER_BUS_PORT, MASTER_WEB_PORT])

    def worker(self, index: int, master_ip: str) -> dict[str, Any]:
        """A Locust worker: makes the load and keeps the ledger."""
        arguments = ["--worker", "--master-host", master_ip, "--master-port", str(MASTER_BUS_PORT)]
        return self._pod(worker_name(self.lap, index), "worker", arguments, [LEDGER_PORT])

    def probe(self) -> dict[str, Any]:
        """Tries one request of each class, and ends; its log is what it found."""
        manifest = self._pod(probe_name(self.lap), "probe", [], [])
        manifest["spec"]["containers"][0]["command"] = ["python", "-m", "loadtests.probe"]
        return manifest

    def _pod(
        self, name: str, component: str, arguments: Sequence[str], ports: Sequence[int]
    ) -> dict[str, Any]:
        container: dict[str, Any] = {
            "name": "locust",
            "image": self.image,
            "args": list(arguments),
            "env": [{"name": name, "value": value} for name, value in self.variables.items()],
            "ports": [{"containerPort": port} for port in ports],
            "volumeMounts": [{"name": VOLUME, "mountPath": MOUNT, "readOnly": True}],
            "resources": {"requests": {"cpu": CPU[component]}},
        }
        labels = {
            **self.site.labels,
            "app.kubernetes.io/name": "hotupgrade-loadgen",
            "app.kubernetes.io/component": component,
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": self.site.namespace, "labels": labels},
            "spec": {
                "restartPolicy": "Never",  # a worker that was restarted has lost its ledger
                "terminationGracePeriodSeconds": GRACE_S,
                "affinity": _away_from(self.subject),
                "containers": [container],
                "volumes": [{"name": VOLUME, "configMap": {"name": config_map_name(self.lap)}}],
            },
        }


def _host(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip
