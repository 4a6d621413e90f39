"""A cluster that a kubeconfig leads to: its clients, its controller, what it is. Knows nothing of who made it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes import config
from kubernetes.client import ApiClient, AppsV1Api, Configuration, CoreV1Api, VersionApi
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException

from harness.calls import REQUEST_S, calling
from harness.cluster.webhooks import CONTROLLER_NAMESPACE
from harness.errors import InputError
from harness.record.report import ClusterInfo, Controller

REFERENCE = "harness.sidecarset"  # what the reference controller's container runs
UNVERIFIED = "The kubeconfig turns the verification of the API server's certificate off."


@dataclass(frozen=True)
class Remote:
    """`server` is the API's URL; `verified` that its certificate is checked, as the kubeconfig wants it."""

    configuration: Configuration
    context: str

    @property
    def server(self) -> str:
        """The API's URL."""
        return str(self.configuration.host)

    def client(self) -> ApiClient:
        """A new client, for one thread."""
        return ApiClient(self.configuration)

    def controller(self) -> Controller | None:
        """Who serves SidecarSets, told by the pods' template of the manager; None if there is none."""
        apps: Any = AppsV1Api(self.client())
        with calling("look for the SidecarSet controller"):
            found = apps.list_namespaced_deployment(CONTROLLER_NAMESPACE, _request_timeout=REQUEST_S).items
        for deployment in found:
            for container in deployment.spec.template.spec.containers:
                if REFERENCE in (container.command or []):
                    return Controller(name="reference SidecarSet controller", version=_tag(container.image))
                if container.name == "manager":
                    return Controller(name="OpenKruise", version=_tag(container.image).removeprefix("v"))
        return None

    def info(self, kind: str, notes: list[str]) -> ClusterInfo:
        """What it is, for the report."""
        api = self.client()
        core: Any = CoreV1Api(api)
        with calling("read what the cluster is"):
            nodes = [node.metadata.name for node in core.list_node(_request_timeout=REQUEST_S).items]
            version = VersionApi(api).get_code(_request_timeout=REQUEST_S).git_version
        return ClusterInfo(
            kind=kind,
            kubernetes=version,
            controller=self.controller() or Controller(name="unknown", version="unknown"),
            nodes=nodes,
            notes=[*notes, *([] if self.configuration.verify_ssl else [UNVERIFIED])],
        )


def reach(kubeconfig: Path | None, context: str | None) -> Remote:
    """What the kubeconfig says, KUBECONFIG's or ~/.kube/config by default; InputError. Nothing is called yet."""
    where = str(kubeconfig) if kubeconfig else "the kubeconfig (KUBECONFIG, or ~/.kube/config)"
    try:
        loader: Any = config
        contexts, active = loader.list_kube_config_contexts(str(kubeconfig) if kubeconfig else None)
        names = [one["name"] for one in contexts]
        if context is not None and context not in names:
            near = difflib.get_close_matches(context, names, n=3) or names
            raise InputError(f"--context {context}: {where} has {', '.join(near)}; name one of them")
        configuration = Configuration()
        loader.load_kube_config(str(kubeconfig) if kubeconfig else None, context, configuration)
    except ConfigException as error:
        why = " ".join(str(error).split())
        raise InputError(f"{where}: {why}; give one with --kubeconfig") from error
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise InputError(
            f"{where}: cannot be read ({' '.join(str(error).split())[:200]}); mend it"
        ) from error
    return Remote(configuration, context or active["name"])


def version_of(remote: Remote) -> str:
    """The API server's version; InputError when it cannot be reached or does not know the user."""
    try:
        with calling(f"reach {remote.server}"):
            return str(VersionApi(remote.client()).get_code(_request_timeout=REQUEST_S).git_version)
    except Exception as error:
        if isinstance(error.__cause__, ApiException):
            raise InputError(f"{error}; does context {remote.context} have valid credentials?") from error
        raise InputError(f"{error}; is context {remote.context} the one you mean?") from error


def _tag(image: str) -> str:
    return image.partition("@")[0].rpartition("/")[2].partition(":")[2] or "latest"
