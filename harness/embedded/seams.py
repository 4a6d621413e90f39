"""The interfaces between the parts of the embedded cluster.

    kubectl, kubernetes client ──HTTPS──▶ api ──Node──▶ agent ──Runtime──▶ machine
                       agent, controllers ──Api──▶ api (in process, same semantics as over HTTPS)

Objects are plain JSON dictionaries in the shape of the Kubernetes API, with `apiVersion` and `kind` set.
Whoever receives one owns it: it is a copy.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

Object = dict[str, Any]

# -- api: what the agent and the controllers use --------------------------------------------------------------


@dataclass(frozen=True)
class Resource:
    """Names a resource: group ("" for core), version, plural."""

    group: str
    version: str
    plural: str


PODS = Resource("", "v1", "pods")
NODES = Resource("", "v1", "nodes")
EVENTS = Resource("", "v1", "events")
NAMESPACES = Resource("", "v1", "namespaces")
CONFIGMAPS = Resource("", "v1", "configmaps")
SECRETS = Resource("", "v1", "secrets")
SERVICEACCOUNTS = Resource("", "v1", "serviceaccounts")
DEPLOYMENTS = Resource("apps", "v1", "deployments")
REPLICASETS = Resource("apps", "v1", "replicasets")
CONTROLLERREVISIONS = Resource("apps", "v1", "controllerrevisions")
SERVICES = Resource("", "v1", "services")
ENDPOINTS = Resource("", "v1", "endpoints")
LEASES = Resource("coordination.k8s.io", "v1", "leases")


class ApiError(Exception):
    """An API call was refused: HTTP code, machine-readable reason (`NotFound`, `Conflict`, …) and message."""

    def __init__(self, code: int, reason: str, message: str, details: Object | None = None) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, details or {}


@dataclass(frozen=True)
class WatchEvent:
    """`SYNCED` (without an object) follows the initial ADDED events once."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "SYNCED"]
    object: Object


class Api(Protocol):
    """The API in process. Raises ApiError as a remote caller would get it; `namespace` is None for cluster scope."""

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        """One object; ApiError 404."""

    async def list(
        self, resource: Resource, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> list[Object]:
        """All that match, over all namespaces when `namespace` is None."""

    async def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        """Creates with defaults, admission and generateName; ApiError 409, 422."""

    async def update(self, resource: Resource, body: Object, subresource: str = "") -> Object:
        """Replaces; ApiError 409 when the body's resourceVersion is not the newest.
        subresource: "", "status", or "finalize" for a namespace."""

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Object,
        namespace: str | None = None,
        subresource: str = "",
    ) -> Object:
        """JSON merge patch (RFC 7386)."""

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        grace_s: int | None = None,
        uid: str = "",
    ) -> None:
        """Deletes, or marks a pod for graceful deletion; grace_s=0 removes a pod at once. ApiError 404, 409 (uid)."""

    def watch(self, resource: Resource, namespace: str | None = None) -> AsyncIterator[WatchEvent]:
        """What exists as ADDED, then SYNCED, then every change, without a gap; ends only when the consumer does."""


# -- node: what the API server asks of the agent ----------------------------------------------------------------


@dataclass(frozen=True)
class LogOptions:
    """The query of a pod's log subresource."""

    follow: bool = False
    previous: bool = False
    tail_lines: int | None = None
    since_seconds: float | None = None
    since_time: str | None = None
    timestamps: bool = False
    limit_bytes: int | None = None


class Session(Protocol):
    """A command that runs in a container."""

    async def read(self) -> tuple[Literal["stdout", "stderr"], bytes] | None:
        """The next output, or None when both streams have ended."""

    async def write(self, data: bytes) -> None:
        """To its standard input; ignored once that is closed."""

    async def close_input(self) -> None:
        """End of its standard input."""

    async def resize(self, columns: int, rows: int) -> None:
        """New size of its terminal, if it has one."""

    async def wait(self) -> int:
        """Its exit code; 128 + n after signal n."""

    async def kill(self) -> None:
        """SIGKILL to the command's whole tree."""


class Node(Protocol):
    """Pods' logs and exec, and the agent itself. Raises ApiError (400 for a container that is not running, 404, and
    503 while the agent is not there)."""

    def logs(self, namespace: str, pod: str, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        """The log's bytes, whole lines; follows until the container ends if asked to."""

    async def exec(
        self, namespace: str, pod: str, container: str, command: Sequence[str], *, stdin: bool, tty: bool
    ) -> Session:
        """Starts a command in a running container."""

    async def restart(self) -> None:
        """Ends the agent as a kubelet is ended, and starts another; returns when that one is at work. Containers run
        on."""


# -- runtime: what the agent asks of the machine ------------------------------------------------------------------


class ImageNotFound(Exception):
    """No such image on this machine; the message names it."""


@dataclass(frozen=True)
class Image:
    """A built image. `id` is `sha256:` and 64 hex digits over its content and configuration; `root` is its own files
    (what COPY brought), laid over the base: the machine's root file system, or nothing for FROM scratch."""

    ref: str
    id: str
    root: Path
    scratch: bool
    env: Mapping[str, str]
    entrypoint: Sequence[str]
    command: Sequence[str]
    user: str
    working_dir: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Mount:
    """A directory or file of the machine shown at `target` in a container."""

    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class ContainerSpec:
    """Everything that a container needs to start; nothing left to look up but the image.

    `command` and `args` follow Kubernetes: None means the image's entry point and command. `env` is complete but for
    the image's own, which it overrides. `log` receives lines `<RFC 3339 nano> stdout|stderr F <text>`, appended.
    `shm` is the pod's shared directory for /dev/shm.
    """

    id: str
    sandbox: str
    name: str
    image: Image
    command: Sequence[str] | None
    args: Sequence[str] | None
    env: Mapping[str, str]
    mounts: Sequence[Mount]
    log: Path
    shm: Path
    working_dir: str | None = None
    user: str | None = None
    tty: bool = False


@dataclass(frozen=True)
class Exit:
    """A container ended: exit code (128 + n after signal n), and when, in Unix seconds."""

    container: str
    code: int
    signal: int
    at: float


@dataclass(frozen=True)
class Running:
    """A container that runs: pid as the machine sees it, and when it started, in Unix seconds."""

    id: str
    pid: int
    started: float


class RuntimeFailure(Exception):
    """The machine could not do it; the message says why (e.g. no such executable in the image)."""


class Runtime(Protocol):
    """The machine's container runtime. All calls are safe to cancel."""

    def image(self, ref: str) -> Image:
        """The image of that name; ImageNotFound."""

    async def run_sandbox(self, id: str, hostname: str) -> str:
        """Network, IPC and UTS namespaces of a pod; returns its IPv4 address."""

    async def remove_sandbox(self, id: str) -> None:
        """Frees them and the address; no error if there is no such sandbox. Containers in it are killed."""

    async def start(self, spec: ContainerSpec) -> Running:
        """Starts a container; RuntimeFailure when its process cannot be executed."""

    async def signal(self, container: str, number: int) -> None:
        """Sends a signal to the container's first process; SIGKILL ends its whole tree. No error if it has ended."""

    async def exec(
        self,
        container: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: bool = False,
        tty: bool = False,
    ) -> Session:
        """Runs a command inside; it sees the container's environment. RuntimeFailure if it cannot be executed."""

    def exits(self) -> AsyncIterator[Exit]:
        """Every container's end, once. One consumer."""

    @property
    def volumes(self) -> Path:
        """A directory of the machine (in memory) where the agent keeps pods' volumes and logs."""
