"""What the agent knows of containers: one instance from its start until the next of that name, and who came
before.

Knows nothing of processes and of how statuses are worded.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from harness.embedded.seams import Exit, Image


@dataclass(eq=False)
class Instance:
    """One container that was created: it runs, or has ended when `exit` is set.

    `ref` is the image as the spec wrote it. `replaced` says that the agent ended it because its definition
    changed. `reason` is the reason of its end where the exit code does not say it.
    """

    id: str
    name: str
    ref: str
    image: Image
    restarts: int
    log: Path
    started: float
    exit: Exit | None = None
    reason: str = ""
    message: str = ""
    replaced: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self.exit is None

    def end(self, exit: Exit) -> None:
        """Takes down how it ended; only the first word counts."""
        if self.exit is None:
            self.exit = exit
            self.ended.set()


@dataclass(frozen=True)
class Waiting:
    """Why a container is not there."""

    reason: str
    message: str = ""


@dataclass(frozen=True)
class Ended:
    """How an instance ended, as far as a status tells it."""

    container: str
    code: int
    reason: str
    message: str
    started: float
    finished: float

    @classmethod
    def of(cls, instance: Instance | None) -> Ended | None:
        """The end of an instance; None while it runs, or if there is none."""
        if instance is None or instance.exit is None:
            return None
        reason = instance.reason or ("Completed" if instance.exit.code == 0 else "Error")
        return cls(
            instance.id, instance.exit.code, reason, instance.message, instance.started, instance.exit.at
        )


@dataclass(frozen=True)
class View:
    """What was to be seen of one container of a pod at the beginning of a pass."""

    id: str = ""
    ref: str = ""
    image_id: str = ""
    restarts: int = 0
    running_since: float | None = None
    ended: Ended | None = None
    former: Ended | None = None
    waiting: Waiting | None = None


class History:
    """The containers of one name in one pod: the one that counts and the one before it."""

    def __init__(self) -> None:
        self.current: Instance | None = None
        self.former: Instance | None = None
        self.waiting: Waiting | None = None

    def succeed(self, instance: Instance) -> Instance | None:
        """Makes an instance the one that counts; returns the one that nobody can ask for any more."""
        forgotten, self.former, self.current = self.former, self.current, instance
        self.waiting = None
        return forgotten

    def last_ended(self) -> Instance | None:
        """The newest instance that has ended."""
        for instance in (self.current, self.former):
            if instance is not None and not instance.running:
                return instance
        return None

    def view(self) -> View:
        """What is to be seen now. A container that waits to start again shows its end as its last state."""
        current, former = self.current, Ended.of(self.former)
        if current is None:
            return View(waiting=self.waiting)
        if current.running:
            ended, running_since = None, current.started
        else:
            ended, running_since = Ended.of(current), None
            if self.waiting is not None:
                ended, former = None, Ended.of(current)
        return View(
            id=current.id,
            ref=current.ref,
            image_id=current.image.id,
            restarts=current.restarts,
            running_since=running_since,
            ended=ended,
            former=former,
            waiting=None if current.running else self.waiting,
        )
