"""Logs of and commands in the node's containers, for the API server. Knows nothing of HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from harness.embedded.agent import logs
from harness.embedded.agent.instances import Instance
from harness.embedded.agent.worker import PodWorker
from harness.embedded.seams import ApiError, LogOptions, Runtime, RuntimeFailure, Session

FindPod = Callable[[str, str], PodWorker | None]


class PodAccess:
    """The node's containers by namespace, pod and name: `seams.Node`."""

    def __init__(self, find: FindPod, runtime: Runtime, clock: Callable[[], float]) -> None:
        self._find, self._runtime, self._clock = find, runtime, clock

    async def logs(
        self, namespace: str, pod: str, container: str, options: LogOptions
    ) -> AsyncIterator[bytes]:
        """The log's bytes, whole lines; follows until the container ends if asked to."""
        worker = self._worker(namespace, pod)
        _known(worker, pod, container)
        instance = worker.instance(container, options.previous)
        if instance is None:
            if options.previous:
                text = f'previous terminated container "{container}" in pod "{pod}" not found'
            else:
                reason = _reason(worker, container)
                text = f'container "{container}" in pod "{pod}" is waiting to start: {reason}'
            raise ApiError(400, "BadRequest", text)
        async for data in logs.read(instance.log, options, lambda: not instance.running, self._clock()):
            yield data

    async def exec(
        self, namespace: str, pod: str, container: str, command: Sequence[str], *, stdin: bool, tty: bool
    ) -> Session:
        """Starts a command in a running container."""
        worker = self._worker(namespace, pod)
        _known(worker, pod, container)
        instance: Instance | None = worker.instance(container)
        if instance is None or not instance.running:
            raise ApiError(400, "BadRequest", f'container "{container}" in pod "{pod}" is not running')
        try:
            return await self._runtime.exec(instance.id, command, stdin=stdin, tty=tty)
        except RuntimeFailure as error:
            raise ApiError(500, "InternalError", f"failed to exec in container: {error}") from error

    def _worker(self, namespace: str, pod: str) -> PodWorker:
        worker = self._find(namespace, pod)
        if worker is None:
            raise ApiError(404, "NotFound", f'pods "{pod}" not found on this node')
        return worker


def _known(worker: PodWorker, pod: str, container: str) -> None:
    spec = worker.pod["spec"]
    names = [c["name"] for key in ("containers", "initContainers") for c in spec.get(key) or []]
    if container not in names:
        raise ApiError(400, "BadRequest", f"container {container} is not valid for pod {pod}")


def _reason(worker: PodWorker, container: str) -> str:
    history = worker.histories.get(container)
    waiting = history.waiting if history else None
    return waiting.reason if waiting else "ContainerCreating"
