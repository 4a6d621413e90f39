"""What there is on the machine of the node's pods: sandboxes, and instances with how they ended.

Outlives the agent. It stands for what a kubelet finds in its container runtime's lists after a restart, where a
container carries its restart count, image and log as labels, and its start and end as its state. Whatever else an agent
knows (probes' results, back-off, why a container waits, a hook under way) goes with it, as it goes with a kubelet.
Knows nothing of what a pod asks for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.embedded.agent.instances import History, Instance
from harness.embedded.seams import Exit


@dataclass
class PodRecord:
    """What there is of one pod; without an address it has no sandbox yet."""

    sandbox: str = ""
    address: str = ""
    histories: dict[str, History] = field(default_factory=dict)

    def instances(self) -> Iterator[Instance]:
        """All that can still be asked for."""
        for history in self.histories.values():
            for instance in (history.current, history.former):
                if instance is not None:
                    yield instance


class Records:
    """The pods of a node, by uid."""

    def __init__(self) -> None:
        self._pods: dict[str, PodRecord] = {}

    def of(self, uid: str) -> PodRecord:
        """A pod's record; an empty one for a pod that was not there before."""
        return self._pods.setdefault(uid, PodRecord())

    def uids(self) -> set[str]:
        """The pods of which there is something."""
        return set(self._pods)

    def forget(self, uid: str) -> None:
        """Nothing of the pod is left."""
        self._pods.pop(uid, None)

    def ended(self, exit: Exit) -> tuple[str, Instance] | None:
        """Takes down a container's end; its pod and instance, unless nobody can ask for it any more."""
        for uid, record in self._pods.items():
            for instance in record.instances():
                if instance.id == exit.container:
                    instance.end(exit)
                    return uid, instance
        return None
