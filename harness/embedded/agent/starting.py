"""Starts one container: its image, its environment and mounts, its process, its postStart hook.

Knows nothing of why it is started, nor of restarts and their delays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from harness.embedded.agent.actions import ActionUnknown, Target
from harness.embedded.agent.backoff import Backoff
from harness.embedded.agent.environment import environment, expand_all
from harness.embedded.agent.fields import Facts, FieldError
from harness.embedded.agent.instances import Instance, Waiting
from harness.embedded.agent.settings import Tools
from harness.embedded.agent.sources import SourceError, Sources
from harness.embedded.agent.volumes import SubPathFailed, Volumes
from harness.embedded.seams import ContainerSpec, Exit, Image, ImageNotFound, Object, RuntimeFailure

NOT_STARTED = 128  # exit code of a container whose process could not be executed


class StartFailed(Exception):
    """The container does not run; `waiting` is what its status says."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.waiting = Waiting(reason, message)


class Starter:
    """Starts containers of one pod."""

    def __init__(self, tools: Tools, volumes: Volumes, sources: Sources) -> None:
        self._tools, self._volumes, self._sources = tools, volumes, sources
        self._pulls = Backoff()
        self._failed_pulls: dict[str, tuple[float, str]] = {}

    def retry_in(self, ref: str) -> float:
        """Seconds until a missing image is looked for again."""
        failed = self._failed_pulls.get(ref)
        now = self._tools.clock()
        return self._pulls.remaining(ref, failed[0], now) if failed else 0.0

    def image(self, container: Object, tell: Callable[[str, str, str], None]) -> Image:
        """The container's image; StartFailed when the machine has none of that name, or when it is too soon
        to look."""
        ref, now = container["image"], self._tools.clock()
        if self.retry_in(ref) > 0:
            tell("Normal", "BackOff", f'Back-off pulling image "{ref}"')
            tell("Warning", "Failed", "Error: ImagePullBackOff")
            why = self._failed_pulls[ref][1]
            raise StartFailed("ImagePullBackOff", f'Back-off pulling image "{ref}": ErrImagePull: {why}')
        try:
            image = self._tools.runtime.image(ref)
        except ImageNotFound as error:
            if container.get("imagePullPolicy") == "Never":
                text = f'Container image "{ref}" is not present with pull policy of Never'
                tell("Warning", "ErrImageNeverPull", text)
                raise StartFailed("ErrImageNeverPull", text) from error
            self._pulls.count(ref, now, now)
            self._failed_pulls[ref] = now, str(error)
            tell("Normal", "Pulling", f'Pulling image "{ref}"')
            tell("Warning", "Failed", f'Failed to pull image "{ref}": {error}')
            tell("Warning", "Failed", "Error: ErrImagePull")
            raise StartFailed("ErrImagePull", str(error)) from error
        tell("Normal", "Pulled", f'Container image "{ref}" already present on machine')
        return image

    async def spec(
        self, pod: Object, container: Object, instance: Instance, sandbox: str, facts: Facts
    ) -> ContainerSpec:
        """All that the machine needs to start it, environment evaluated now; StartFailed."""
        settings = self._tools.settings
        base = {
            "HOSTNAME": hostname(pod),
            "KUBERNETES_SERVICE_HOST": settings.service_host,
            "KUBERNETES_SERVICE_PORT": str(settings.service_port),
            "KUBERNETES_SERVICE_PORT_HTTPS": str(settings.service_port),
        }
        try:
            values = await environment(pod, container, base, facts, self._sources)
            mounts = self._volumes.mounts(pod, container, values)
            own = {mount.target for mount in mounts}
            network = self._volumes.network_files(hostname(pod), facts.pod_ip)
            mounts += [mount for mount in network if mount.target not in own]
        except (SourceError, FieldError, SubPathFailed) as error:
            raise StartFailed("CreateContainerConfigError", str(error)) from error
        return ContainerSpec(
            id=instance.id,
            sandbox=sandbox,
            name=instance.name,
            image=instance.image,
            command=expand_all(container.get("command"), values),
            args=expand_all(container.get("args"), values),
            env=values,
            mounts=mounts,
            log=instance.log,
            shm=self._volumes.shm,
            working_dir=container.get("workingDir"),
            user=_user(pod, container, instance.image),
            tty=bool(container.get("tty")),
        )

    async def run(self, spec: ContainerSpec, instance: Instance) -> None:
        """Starts the process; StartFailed, with the instance ended, when it cannot be executed."""
        try:
            running = await self._tools.runtime.start(spec)
        except RuntimeFailure as error:
            self._not_started(instance, str(error))
            raise StartFailed("RunContainerError", str(error)) from error
        except asyncio.CancelledError:
            self._not_started(instance, "the start was given up")  # and so the machine undoes it
            raise
        instance.started = running.started

    def _not_started(self, instance: Instance, why: str) -> None:
        instance.reason, instance.message = "StartError", why
        instance.end(Exit(instance.id, NOT_STARTED, 0, self._tools.clock()))

    async def hook(self, pod: Object, container: Object, target: Target) -> None:
        """Runs the postStart hook, without a limit as a kubelet does; StartFailed when it fails."""
        action = (container.get("lifecycle") or {}).get("postStart")
        if not action:
            return
        try:
            outcome = await self._tools.actions.run(action, target)
        except ActionUnknown as error:
            failure = str(error)
        else:
            if outcome.ok:
                return
            failure = outcome.detail
        where = f'Container "{container["name"]}" in Pod "{full_name(pod)}"'
        raise StartFailed("PostStartHookError", f"postStart hook of {where} failed: {failure}")


def full_name(pod: Object) -> str:
    """The pod as a kubelet names it in messages: name, namespace and uid."""
    metadata = pod["metadata"]
    return f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"


def hostname(pod: Object) -> str:
    """The pod's host name."""
    return str(pod["spec"].get("hostname") or pod["metadata"]["name"])[:63].rstrip("-.")


def _user(pod: Object, container: Object, image: Image) -> str | None:
    """The user to run as where the pod says so; StartFailed when that is root and must not be."""
    security = {**(pod["spec"].get("securityContext") or {}), **(container.get("securityContext") or {})}
    user, group = security.get("runAsUser"), security.get("runAsGroup")
    effective = str(user) if user is not None else image.user.partition(":")[0]
    if security.get("runAsNonRoot") and effective in ("", "0", "root"):
        raise StartFailed(
            "CreateContainerConfigError", "container has runAsNonRoot and image will run as root"
        )
    if user is None and group is None:
        return None
    return f"{effective or '0'}:{group}" if group is not None else effective
