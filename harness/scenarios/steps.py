"""What a scenario does, step by step. Data; `harness.play` carries it out.

Images are references, or one of NEXT and PREVIOUS, which follow the run's alternation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.record.upgrade import Expectation, PhaseName

NEXT = "next"
"""The image after the present one in the run's alternation."""
PREVIOUS = "previous"
"""The image that worked before the upgrade under way, which is taken back."""
MISSING = "missing"
"""A tag of the subject's repository that exists nowhere."""

Part = Literal["controller", "agent"]
"""What of a cluster can be restarted: the SidecarSet controller, the nodes' agents."""


@dataclass(frozen=True)
class Upgrade:
    """Changes the image and waits until every pod is settled; `count` times, with steady traffic in between.

    `pause_s` is from the end of one to the next, `every_s` at least from one change to the next.
    """

    to: str = NEXT
    count: int = 1
    pause_s: float = 0.5
    every_s: float | None = None


@dataclass(frozen=True)
class Begin:
    """Changes the image and waits for nothing. `fault` names what is bad about it, if anything is."""

    to: str = NEXT
    expect: Expectation = "settled"
    fault: str = ""


@dataclass(frozen=True)
class Settle:
    """Waits until so many pods, or all, are settled."""

    pods: int | None = None


@dataclass(frozen=True)
class Reach:
    """Waits until a pod has entered a phase, as far as the watch shows it."""

    phase: PhaseName


@dataclass(frozen=True)
class Steady:
    """Lets traffic flow."""

    seconds: float


@dataclass(frozen=True)
class Climb:
    """Lets traffic flow whose rate grows; until the load generator was far behind its schedule for `patience_s`."""

    seconds: float
    patience_s: float


@dataclass(frozen=True)
class Halted:
    """Lets traffic flow and holds that so many pods, and no more, are settled at the end."""

    seconds: float
    pods: int = 0


@dataclass(frozen=True)
class Unchanged:
    """Lets traffic flow and holds that no pod's containers were changed or started again meanwhile."""

    seconds: float


@dataclass(frozen=True)
class Strategy:
    """Changes the SidecarSet's updateStrategy; None leaves a field as it is."""

    paused: bool | None = None
    partition: int | None = None
    max_unavailable: int | None = None


@dataclass(frozen=True)
class Variable:
    """Gives the sidecar's container another environment variable."""

    name: str
    value: str


@dataclass(frozen=True)
class DeletePod:
    """Deletes one of the pods under test. Its traffic has nowhere to go from then on."""


@dataclass(frozen=True)
class AddPod:
    """Asks for one more pod, and holds at the end that it came with its pair."""


@dataclass(frozen=True)
class Execute:
    """Runs a command, as `kubectl exec` does, in each pod: `application`, or the container that works."""

    name: str
    command: tuple[str, ...]
    container: Literal["application", "working"] = "working"


@dataclass(frozen=True)
class Descriptors:
    """Counts the open files of each pod's working sidecar; at the end no image may hold many more than another."""


@dataclass(frozen=True)
class Slow:
    """Makes the application answer so much later; 0 ends it."""

    milliseconds: int


@dataclass(frozen=True)
class Restart:
    """Restarts a part of the cluster."""

    part: Part


Step = (
    Upgrade
    | Begin
    | Settle
    | Reach
    | Steady
    | Climb
    | Halted
    | Unchanged
    | Strategy
    | Variable
    | DeletePod
    | AddPod
    | Execute
    | Descriptors
    | Slow
    | Restart
)
