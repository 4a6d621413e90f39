"""The hand-over's two machines, coupled over a wire that is a list. No socket, no clock.

Connections are numbers: what each side owns is modelled as mover and receiver do it.
"""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.handover.machine import (
    PREDECESSOR,
    SUCCESSOR,
    Do,
    Event,
    IllegalStepError,
    Machine,
    State,
    predecessor,
    successor,
)

FRAMES = {
    Do.SEND_OFFER: Event.OFFER,
    Do.SEND_ACCEPT: Event.ACCEPT,
    Do.SEND_ACCEPTING: Event.ACCEPTING,
    Do.SEND_COMMIT: Event.COMMIT,
    Do.SEND_DRAINED: Event.DRAINED,
    Do.SEND_RELEASED: Event.RELEASED,
    Do.SEND_ABORT: Event.ABORT,
}
COMMITTED = {State.DRAINING, State.DRAINED, State.RETIRED}
CONNECTIONS = 5
Message = tuple[Event, int]  # with the number of a connection, where it is about one


class Side:
    """A machine with what its actions have made true."""

    def __init__(self, machine: Machine, accepts: bool, protocol: int) -> None:
        self.machine, self.accepts, self.protocol = machine, accepts, protocol
        self.alive, self.connected, self.holds = True, True, accepts
        self.reads = True  # until the reading end is shut down
        self.inbox: deque[Message] = deque()
        self.owned = set(range(CONNECTIONS)) if accepts else set()
        self.under_way: set[int] = set()
        self.in_doubt: set[int] = set()
        self.number = -1  # of the connection that the event in hand is about
        self.peer: Side

    def feed(self, event: Event) -> None:
        """As the drivers do: what is illegal is the peer's fault."""
        try:
            actions = self.machine.step(event)
        except IllegalStepError:
            if (self.machine.state, Event.FAULT) not in self.machine.table:
                return
            actions = self.machine.step(Event.FAULT)
        if event is Event.LOST:
            self.owned |= self.in_doubt
        if Do.HANG_UP in actions:
            self.in_doubt.clear()
        for action in actions:
            self.do(action)

    def send(self, event: Event, number: int = -1) -> bool:
        if not (self.connected and self.peer.connected and self.peer.reads):
            return False
        self.peer.inbox.append((event, number))
        return True

    def do(self, action: Do) -> None:
        if action in FRAMES:
            self.send(FRAMES[action])
        elif action is Do.SEND_PREPARED:
            self.send(Event.PREPARED_TO_TAKE if self.protocol == 2 else Event.PREPARED)
        elif action is Do.START_MOVING:
            for number in sorted(self.owned):
                self.move(number)
            self.perhaps_bulk_moved()
        elif action is Do.TAKE_CONNECTIONS:
            (self.owned if self.send(Event.MOVED, self.number) else self.in_doubt).add(self.number)
        elif action is Do.LET_GO:
            self.under_way.discard(self.number)
            self.perhaps_bulk_moved()
        elif action is Do.TAKE_BACK:
            self.take_back()
        elif action in (Do.RESUME, Do.START_ACCEPTING):
            assert self.holds, "accepts without a listener"
            self.accepts = True
        elif action in (Do.STOP_ACCEPTING, Do.WITHDRAW):
            self.accepts = False
            self.holds = self.holds and action is Do.STOP_ACCEPTING
        elif action is Do.TAKE_LISTENERS:
            self.holds = True
        elif action is Do.HANG_UP:
            self.hang_up()

    def move(self, number: int) -> None:
        self.owned.discard(number)
        self.under_way.add(number)
        self.send(Event.MOVE, number)

    def perhaps_bulk_moved(self) -> None:
        if not self.under_way and self.machine.state is State.MOVING:
            self.feed(Event.BULK_MOVED)

    def take_back(self) -> None:
        self.reads = False
        if self.connected:
            self.under_way -= {number for event, number in self.inbox if event is Event.MOVED}
        self.owned |= self.under_way
        self.under_way.clear()

    def hang_up(self) -> None:
        if self.connected:
            self.connected = False
            if self.peer.connected:
                self.peer.inbox.append((Event.LOST, -1))

    def crash(self) -> None:
        if self.alive:
            self.hang_up()
            self.alive = self.accepts = False

    def take(self) -> None:
        if self.alive and self.inbox:
            event, self.number = self.inbox.popleft()
            if self.connected:
                self.connected = event is not Event.LOST
                self.feed(event)


def couple(protocol: int = 2) -> tuple[Side, Side]:
    serving, arriving = Side(predecessor(), True, protocol), Side(successor(), False, protocol)
    serving.peer, arriving.peer = arriving, serving
    serving.inbox.append((Event.REQUEST, -1))
    return serving, arriving


def settle(serving: Side, arriving: Side) -> None:
    for _ in range(60):
        serving.take()
        arriving.take()


@pytest.mark.parametrize(("protocol", "moved"), [(1, 0), (2, CONNECTIONS)])
def test_an_undisturbed_handover_overlaps_and_commits(protocol: int, moved: int) -> None:
    serving, arriving = couple(protocol)
    both = False
    for _ in range(40):
        serving.take()
        arriving.take()
        if arriving.machine.state is State.WARMING:
            arriving.feed(Event.WARM)
        both = both or (serving.accepts and arriving.accepts)
        assert serving.accepts or arriving.accepts
    assert both, "the successor has to accept before the predecessor stops"
    assert (len(serving.owned), len(arriving.owned)) == (CONNECTIONS - moved, moved)
    assert (serving.machine.state, arriving.machine.state) == (State.DRAINING, State.WORKING)
    serving.feed(Event.EMPTY)
    settle(serving, arriving)
    assert (serving.machine.state, arriving.machine.state) == (State.DRAINED, State.SETTLED)


@pytest.mark.case(16)
@pytest.mark.parametrize("state", [State.DRAINING, State.DRAINED])
def test_the_predecessor_accepts_again_when_the_successor_ends_after_the_commit(state: State) -> None:
    machine = Machine(PREDECESSOR, state)
    assert Do.RESUME in machine.step(Event.LOST)
    assert machine.state is State.SERVING


@pytest.mark.case(21)
def test_a_predecessor_that_was_released_never_accepts_again() -> None:
    machine = Machine(PREDECESSOR, State.DRAINED)
    assert machine.step(Event.RELEASED) == (Do.TAKE_BACK, Do.HANG_UP)
    with pytest.raises(IllegalStepError):
        machine.step(Event.LOST)
    assert machine.state is State.RETIRED


@pytest.mark.case(11, 15, 16, 18, 20)
@pytest.mark.parametrize("table", [PREDECESSOR, SUCCESSOR])
def test_an_illegal_step_changes_nothing(
    table: dict[tuple[State, Event], tuple[State, tuple[Do, ...]]],
) -> None:
    for state in {state for state, _ in table}:
        for event in Event:
            if (state, event) not in table:
                machine = Machine(table, state)
                with pytest.raises(IllegalStepError, match=f"{event.name} in state {state.name}"):
                    machine.step(event)
                assert machine.state is state


def test_every_state_before_the_commit_ends_on_silence_crash_and_nonsense() -> None:
    for state in (State.OFFERED, State.MOVING, State.YIELDING):
        for event in (Event.TIMEOUT, Event.LOST, Event.FAULT, Event.ABORT, Event.STOP):
            after, actions = PREDECESSOR[state, event]
            assert (after, Do.HANG_UP in actions) == (State.SERVING, True)
            assert Do.STOP_ACCEPTING not in actions
            assert Do.TAKE_BACK in actions
    for state in (State.ASKING, State.WARMING, State.PREPARED, State.MOVING, State.ACCEPTING):
        for event in (Event.TIMEOUT, Event.LOST, Event.FAULT, Event.ABORT, Event.STOP):
            after, actions = SUCCESSOR[state, event]
            assert after in (State.FAILED, State.REFUSED, State.ORPHANED)
            assert Do.HANG_UP in actions


@pytest.mark.parametrize("state", [State.MOVING, State.ACCEPTING])
def test_a_successor_that_holds_connections_serves_on_without_its_predecessor(state: State) -> None:
    for event in (Event.TIMEOUT, Event.LOST, Event.FAULT, Event.ABORT):
        after, actions = SUCCESSOR[state, event]
        assert (after, Do.WITHDRAW in actions) == (State.ORPHANED, False)


@pytest.mark.parametrize("turns", range(2, 14))
def test_a_successor_inherits_what_a_dying_predecessor_has_sent(turns: int) -> None:
    serving, arriving = couple()
    for turn in range(turns):
        (serving if turn % 2 == 0 else arriving).take()
        if arriving.machine.state is State.WARMING:
            arriving.feed(Event.WARM)
    sent = set(serving.under_way) | arriving.owned
    serving.crash()
    settle(serving, arriving)
    assert arriving.owned == sent
    assert arriving.machine.state is State.ORPHANED


CHANCES = ("p takes", "s takes", "s warm", "p crashes", "s crashes", "p waits too long", "s waits too long")
NOISE = (
    "p hears again",
    "s hears again",
    "p hears nonsense",
    "s hears nonsense",
    "p stops",
    "s stops",
    "p empty",
    "p moves one more",
)


@settings(max_examples=400)
@given(st.sampled_from([1, 2]), st.lists(st.sampled_from(CHANCES[:3] * 6 + CHANCES[3:] + NOISE), max_size=50))
def test_whatever_happens_somebody_accepts_and_each_connection_has_one_owner(
    protocol: int, schedule: list[str]
) -> None:
    serving, arriving = couple(protocol)
    last: dict[str, Event] = {}
    fresh = CONNECTIONS
    stopped = False
    for chance in schedule:
        side, name = (serving, "p") if chance[0] == "p" else (arriving, "s")
        if not side.alive:
            continue
        match chance[2:]:
            case "takes":
                if side.inbox and side.inbox[0][0] not in (Event.LOST, Event.MOVE, Event.MOVED):
                    last[name] = side.inbox[0][0]
                side.take()
            case "warm":
                if side.machine.state is State.WARMING:
                    side.feed(Event.WARM)
            case "crashes":
                side.crash()
            case "waits too long":
                if (side.machine.state, Event.TIMEOUT) in side.machine.table:
                    side.feed(Event.TIMEOUT)
            case "hears again":
                if name in last and side.connected:
                    side.feed(last[name])
            case "hears nonsense":
                if side.connected:
                    side.feed(Event.FAULT)
            case "stops":
                if side is arriving and (side.machine.state, Event.STOP) in side.machine.table:
                    side.feed(Event.STOP)
                    side.crash()
                    stopped = True
            case "empty":
                if side.machine.state is State.DRAINING and not side.under_way:
                    side.feed(Event.EMPTY)
            case "moves one more":
                if protocol == 2 and side.machine.state in (State.MOVING, State.YIELDING, State.DRAINING):
                    side.move(fresh)
                    fresh += 1
        if serving.alive and serving.machine.state not in COMMITTED:
            assert serving.accepts, f"the predecessor does not accept in {serving.machine.state}"
    settle(serving, arriving)
    if serving.alive and not arriving.alive:
        assert serving.accepts, f"the successor ended (stopped: {stopped}) and nobody accepts"
    if arriving.alive and not serving.alive:
        # It serves, or goes on with what it holds or binds: nobody else listens.
        assert arriving.accepts or arriving.machine.state not in (State.WORKING, State.SETTLED, State.ALONE)
    if serving.alive and arriving.alive and serving.machine.state in COMMITTED:
        assert arriving.accepts
    assert not serving.owned & arriving.owned, "two processes read one connection"
    if serving.alive and arriving.alive:
        assert serving.owned | serving.under_way | arriving.owned | arriving.in_doubt == set(range(fresh))
    elif serving.alive:  # the successor ended: only what it had acknowledged went with it
        assert serving.owned | serving.under_way | arriving.owned == set(range(fresh))
