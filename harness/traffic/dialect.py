"""Which traffic classes the sidecars speak, found out before any load. Knows nothing of what a class does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.errors import ClusterError
from harness.record.classes import USUAL
from harness.traffic.load import Load, Target

Words = Callable[[str], str]
"""The last that a pod's sidecars wrote, for people."""


class Dialect:
    """What a run has found out so far: a class is tried once."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._tried: dict[str, str | None] = {}

    def learn(self, load: Load, targets: Sequence[Target]) -> dict[str, str]:
        """Tries those of the load's classes that were not tried yet; returns all that are not spoken, and why.

        ClusterError with the pod's last log lines when a class fails that every sidecar owes: nobody serves there.
        """
        if not set(load.classes) <= set(self._tried):
            ports = {target.pod: target.port for target in targets}
            for name, at in load.probe().items():
                wrong = {pod: detail for pod, detail in at.items() if detail}
                self._tried[name] = next(iter(wrong.values()), None)
                for pod, detail in wrong.items():
                    if name in USUAL or load.own_requests:
                        port = ports.get(pod, "its port")
                        raise ClusterError(
                            f"pod {pod}, port {port}: a request of class {name} before the load went wrong: {detail}"
                            f"{self._words(pod)}"
                        )
        return {name: why for name in load.classes if (why := self._tried[name]) is not None}
