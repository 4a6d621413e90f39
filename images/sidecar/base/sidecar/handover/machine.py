"""The hand-over as two state machines, each a table of all its transitions. Knows no socket, clock or frame.

Invariants: until the step (YIELDING, ACCEPTING) the predecessor accepts, whatever happens; afterwards it
accepts again when the successor is lost or gives back. A connection that was not acknowledged is the
predecessor's, and it takes it back. A successor that holds a connection, or may have accepted one, gives up no
more: without its predecessor it serves on (ORPHANED). An event that is not in the table is illegal and changes
nothing.
"""

from __future__ import annotations

from enum import Enum, auto

from sidecar.errors import HandoverError


class Event(Enum):
    """What can happen: a frame from the peer, or something here."""

    REQUEST = auto()
    OFFER = auto()
    PREPARED = auto()  # for listeners only
    PREPARED_TO_TAKE = auto()  # for connections too
    MOVE = auto()
    MOVED = auto()
    ACCEPT = auto()
    ACCEPTING = auto()
    COMMIT = auto()
    DRAINED = auto()
    RELEASED = auto()
    ABORT = auto()
    WARM = auto()  # the successor is ready to accept
    BULK_MOVED = auto()  # what was idle when moving began is acknowledged
    EMPTY = auto()  # the predecessor has no connection left
    HANDED_ON = auto()  # the successor has a successor, which committed
    TIMEOUT = auto()  # the peer took too long, for a step or for an acknowledgement
    FAULT = auto()  # the peer broke the protocol
    STOP = auto()  # this process ends, or cannot do its part
    LOST = auto()  # the channel is closed: the peer ended


class Do(Enum):
    """What a step asks the driver to do, in this order."""

    SEND_OFFER = auto()
    SEND_PREPARED = auto()
    SEND_ACCEPT = auto()
    SEND_ACCEPTING = auto()
    SEND_COMMIT = auto()
    SEND_DRAINED = auto()
    SEND_RELEASED = auto()
    SEND_ABORT = auto()
    HANG_UP = auto()
    START_MOVING = auto()
    LET_GO = auto()  # of the connections that were acknowledged
    TAKE_BACK = auto()  # those that were not
    STOP_ACCEPTING = auto()
    START_DRAIN = auto()
    RESUME = auto()  # accept again
    TAKE_LISTENERS = auto()
    WARM_UP = auto()
    TAKE_CONNECTIONS = auto()
    START_ACCEPTING = auto()
    WORK = auto()  # the commit has arrived
    SETTLE = auto()  # the predecessor is drained or gone
    WITHDRAW = auto()  # stop accepting, close what was taken


class State(Enum):
    """Where a side stands; each belongs to one side but for the names' sake they share a type."""

    # predecessor
    SERVING = auto()
    OFFERED = auto()
    MOVING = auto()  # idle connections move, in both sides' tables
    YIELDING = auto()
    DRAINING = auto()
    DRAINED = auto()
    RETIRED = auto()  # a later successor serves: never accepts again
    # successor
    ASKING = auto()
    WARMING = auto()
    PREPARED = auto()
    ACCEPTING = auto()
    WORKING = auto()
    SETTLED = auto()
    ALONE = auto()  # working, and the predecessor is gone
    FAILED = auto()
    REFUSED = auto()
    ORPHANED = auto()  # without a predecessor before the commit; what it gave is kept


Table = dict[tuple[State, Event], tuple[State, tuple[Do, ...]]]


def _each(states: tuple[State, ...], events: tuple[Event, ...], to: State | None, *do: Do) -> Table:
    """The same step for several states and events; `to` None stays."""
    return {(state, event): (to or state, do) for state in states for event in events}


PREDECESSOR: Table = {
    (State.SERVING, Event.REQUEST): (State.OFFERED, (Do.SEND_OFFER,)),
    (State.OFFERED, Event.PREPARED): (State.YIELDING, (Do.SEND_ACCEPT,)),
    (State.OFFERED, Event.PREPARED_TO_TAKE): (State.MOVING, (Do.START_MOVING,)),
    (State.MOVING, Event.BULK_MOVED): (State.YIELDING, (Do.SEND_ACCEPT,)),
    **_each((State.MOVING, State.YIELDING, State.DRAINING), (Event.MOVED,), None, Do.LET_GO),
    (State.YIELDING, Event.ACCEPTING): (State.DRAINING, (Do.STOP_ACCEPTING, Do.SEND_COMMIT, Do.START_DRAIN)),
    (State.DRAINING, Event.EMPTY): (State.DRAINED, (Do.SEND_DRAINED,)),
    (State.RETIRED, Event.EMPTY): (State.RETIRED, ()),
    **_each(
        (State.OFFERED, State.MOVING, State.YIELDING),
        (Event.TIMEOUT, Event.FAULT, Event.STOP),
        State.SERVING,
        Do.SEND_ABORT,
        Do.TAKE_BACK,
        Do.HANG_UP,
    ),
    **_each(
        (State.OFFERED, State.MOVING, State.YIELDING),
        (Event.ABORT, Event.LOST),
        State.SERVING,
        Do.TAKE_BACK,
        Do.HANG_UP,
    ),
    # A successor that acknowledges nothing any more serves nobody either.
    **_each(
        (State.DRAINING,),
        (Event.TIMEOUT,),
        State.SERVING,
        Do.SEND_ABORT,
        Do.TAKE_BACK,
        Do.RESUME,
        Do.HANG_UP,
    ),
    **_each(
        (State.DRAINING, State.DRAINED),
        (Event.ABORT, Event.LOST),
        State.SERVING,
        Do.TAKE_BACK,
        Do.RESUME,
        Do.HANG_UP,
    ),
    **_each((State.DRAINING, State.DRAINED), (Event.RELEASED,), State.RETIRED, Do.TAKE_BACK, Do.HANG_UP),
    # After the commit the successor serves: noise from it is no reason to serve twice.
    **_each((State.DRAINING, State.DRAINED), (Event.FAULT,), None),
    (State.DRAINING, Event.STOP): (State.RETIRED, (Do.SEND_ABORT, Do.TAKE_BACK, Do.HANG_UP)),
    (State.DRAINED, Event.STOP): (State.RETIRED, (Do.HANG_UP,)),
    (State.RETIRED, Event.STOP): (State.RETIRED, ()),
}

_EMPTY_HANDED = (State.ASKING, State.WARMING, State.PREPARED)
_HOLDING = (State.MOVING, State.ACCEPTING)  # connections that nobody else could answer, perhaps
SUCCESSOR: Table = {
    (State.ASKING, Event.OFFER): (State.WARMING, (Do.TAKE_LISTENERS, Do.WARM_UP)),
    (State.WARMING, Event.WARM): (State.PREPARED, (Do.SEND_PREPARED,)),
    (State.PREPARED, Event.MOVE): (State.MOVING, (Do.TAKE_CONNECTIONS,)),
    **_each((State.MOVING, State.ACCEPTING, State.WORKING), (Event.MOVE,), None, Do.TAKE_CONNECTIONS),
    **_each(
        (State.PREPARED, State.MOVING),
        (Event.ACCEPT,),
        State.ACCEPTING,
        Do.START_ACCEPTING,
        Do.SEND_ACCEPTING,
    ),
    (State.ACCEPTING, Event.COMMIT): (State.WORKING, (Do.WORK,)),
    (State.WORKING, Event.DRAINED): (State.SETTLED, (Do.SETTLE,)),
    (State.WORKING, Event.LOST): (State.ALONE, (Do.HANG_UP, Do.SETTLE)),
    (State.WORKING, Event.ABORT): (State.ALONE, (Do.HANG_UP, Do.SETTLE)),
    **_each((State.SETTLED,), (Event.LOST, Event.ABORT), State.ALONE, Do.HANG_UP),
    **_each(
        _EMPTY_HANDED,
        (Event.TIMEOUT, Event.FAULT, Event.STOP),
        State.FAILED,
        Do.SEND_ABORT,
        Do.HANG_UP,
        Do.WITHDRAW,
    ),
    **_each(_EMPTY_HANDED, (Event.ABORT,), State.REFUSED, Do.HANG_UP, Do.WITHDRAW),
    **_each(_HOLDING, (Event.TIMEOUT, Event.FAULT), State.ORPHANED, Do.SEND_ABORT, Do.HANG_UP),
    **_each(_HOLDING, (Event.ABORT,), State.ORPHANED, Do.HANG_UP),
    **_each(_HOLDING, (Event.STOP,), State.FAILED, Do.SEND_ABORT, Do.HANG_UP, Do.WITHDRAW),
    **_each((*_EMPTY_HANDED, *_HOLDING), (Event.LOST,), State.ORPHANED, Do.HANG_UP),
    # Ends while the predecessor lives: it gets everything back.
    **_each((State.WORKING, State.SETTLED), (Event.STOP,), State.ALONE, Do.SEND_ABORT, Do.HANG_UP),
    **_each((State.WORKING, State.SETTLED), (Event.HANDED_ON,), State.ALONE, Do.SEND_RELEASED, Do.HANG_UP),
    # Noise after the commit: the predecessor drains on, the hook has its own bound.
    **_each((State.WORKING, State.SETTLED), (Event.FAULT,), None),
}


class IllegalStepError(HandoverError):
    """An event that has no place in the present state."""


class Machine:
    """One side's place in one table."""

    def __init__(self, table: Table, state: State) -> None:
        self.table, self.state = table, state

    def step(self, event: Event) -> tuple[Do, ...]:
        """Moves on and says what to do; IllegalStepError leaves everything as it was."""
        try:
            self.state, actions = self.table[self.state, event]
        except KeyError:
            raise IllegalStepError(f"{event.name} in state {self.state.name}") from None
        return actions


def predecessor() -> Machine:
    """The machine of one hand-over, on the side that serves."""
    return Machine(PREDECESSOR, State.SERVING)


def successor() -> Machine:
    """The machine of one hand-over, on the side that asked; the request is its driver's first act."""
    return Machine(SUCCESSOR, State.ASKING)
