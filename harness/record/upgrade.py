"""What one hot upgrade did, pod by pod: phases with their witnesses, and events."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.record.base import Record, Time

PhaseName = Literal["steady", "upgrade", "back-off", "migration", "reset", "settled"]


Expectation = Literal["settled", "halted", "nothing"]
"""What an upgrade is expected to come to: every pod settled; a halt that a later one mends; no pod changed."""


class Phase(Record):
    """A stretch of one pod's upgrade; the start's `witness` says what saw it and `precision_ms` how precisely.

    upgrade: new image in the pod's spec -> new container started; migration: started -> its postStart returned and
    it is Ready; reset: the other container's image replaced -> empty container running; settled: from then on.
    A cold upgrade has upgrade (image in the spec -> container running again) and settled only. back-off: the end of
    upgrade or reset, from when the kubelet was seen to delay the container's start on: its doing, not the sidecar's.
    """

    name: PhaseName
    start: Time
    end: Time | None = None
    witness: str
    precision_ms: float


class PodEvent(Record):
    """Something that a pod, its containers or the kubelet reported."""

    at: Time
    source: str = Field(
        description="sidecar (a log line), kubelet or controller (an API event), watch (a pod's state)"
    )
    reason: str
    message: str = ""
    container: str | None = None


class PodUpgrade(Record):
    """One pod's part in one upgrade; `working` is the container that works afterwards."""

    name: str
    from_: str = Field(alias="from")
    to: str
    working: str
    dismissed: bool = Field(default=False, description="the scenario took the pod away meanwhile")
    phases: list[Phase] = []
    events: list[PodEvent] = []


class Upgrade(Record):
    """One change of the SidecarSet's image, from the patch until every pod is settled."""

    index: int = Field(description="counts from 1")
    from_: str = Field(alias="from")
    to: str
    patched: Time
    settled: Time | None = None
    expect: Expectation = "settled"
    pods: list[PodUpgrade] = []

    @property
    def flipped(self) -> list[PodUpgrade]:
        """The pods that had to change their sidecars: a halted upgrade has none, and a roll-back not all."""
        if self.expect != "settled":
            return []
        return [pod for pod in self.pods if not pod.dismissed and (pod.phases or self.settled is None)]
