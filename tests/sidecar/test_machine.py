"""The hand-over's two machines, coupled over a wire that is a list. No socket, no clock."""

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
    Do.SEND_PREPARED: Event.PREPARED,
    Do.SEND_ACCEPT: Event.ACCEPT,
    Do.SEND_ACCEPTING: Event.ACCEPTING,
    Do.SEND_COMMIT: Event.COMMIT,
    Do.SEND_DRAINED: Event.DRAINED,
    Do.SEND_RELEASED: Event.RELEASED,
    Do.SEND_ABORT: Event.ABORT,
}
COMMITTED = {State.DRAINING, State.DRAINED, State.RETIRED}


class Side:
    """A machine with what its actions have made true."""

    def __init__(self, machine: Machine, accepts: bool) -> None:
        self.machine, self.accepts = machine, accepts
        self.alive, self.connected, self.holds = True, True, accepts
        self.inbox: deque[Event] = deque()
        self.peer: Side

    def feed(self, event: Event) -> None:
        """As the drivers do: what is illegal is the peer's fault."""
        try:
            actions = self.machine.step(event)
        except IllegalStepError:
            if (self.machine.state, Event.FAULT) not in self.machine.table:
                return
            actions = self.machine.step(Event.FAULT)
        for action in actions:
            self.do(action)

    def do(self, action: Do) -> None:
        if action in FRAMES and self.connected and self.peer.connected:
            self.peer.inbox.append(FRAMES[action])
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

    def hang_up(self) -> None:
        if self.connected:
            self.connected = False
            if self.peer.connected:
                self.peer.inbox.append(Event.LOST)

    def crash(self) -> None:
        if self.alive:
            self.hang_up()
            self.alive = self.accepts = False

    def take(self) -> None:
        if self.alive and self.inbox:
            event = self.inbox.popleft()
            if self.connected:
                self.connected = event is not Event.LOST
                self.feed(event)


def couple() -> tuple[Side, Side]:
    serving, arriving = Side(predecessor(), True), Side(successor(), False)
    serving.peer, arriving.peer = arriving, serving
    serving.inbox.append(Event.REQUEST)
    return serving, arriving


def settle(serving: Side, arriving: Side) -> None:
    for _ in range(40):
        serving.take()
        arriving.take()


def test_an_undisturbed_handover_overlaps_and_commits() -> None:
    serving, arriving = couple()
    both = False
    for _ in range(20):
        serving.take()
        arriving.take()
        if arriving.machine.state is State.WARMING:
            arriving.feed(Event.WARM)
        both = both or (serving.accepts and arriving.accepts)
        assert serving.accepts or arriving.accepts
    assert both, "the successor has to accept before the predecessor stops"
    assert (serving.machine.state, arriving.machine.state) == (State.DRAINING, State.WORKING)
    serving.feed(Event.EMPTY)
    settle(serving, arriving)
    assert (serving.machine.state, arriving.machine.state) == (State.DRAINED, State.SETTLED)


@pytest.mark.parametrize("state", [State.DRAINING, State.DRAINED])
def test_the_predecessor_accepts_again_when_the_successor_ends_after_the_commit(state: State) -> None:
    machine = Machine(PREDECESSOR, state)
    assert Do.RESUME in machine.step(Event.LOST)
    assert machine.state is State.SERVING


def test_a_predecessor_that_was_released_never_accepts_again() -> None:
    machine = Machine(PREDECESSOR, State.DRAINED)
    assert machine.step(Event.RELEASED) == (Do.HANG_UP,)
    with pytest.raises(IllegalStepError):
        machine.step(Event.LOST)
    assert machine.state is State.RETIRED


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
    for state in (State.OFFERED, State.YIELDING):
        for event in (Event.TIMEOUT, Event.LOST, Event.FAULT, Event.ABORT, Event.STOP):
            after, actions = PREDECESSOR[state, event]
            assert (after, Do.HANG_UP in actions) == (State.SERVING, True)
            assert Do.STOP_ACCEPTING not in actions
    for state in (State.ASKING, State.WARMING, State.PREPARED, State.ACCEPTING):
        for event in (Event.TIMEOUT, Event.LOST, Event.FAULT, Event.ABORT, Event.STOP):
            after, actions = SUCCESSOR[state, event]
            assert after in (State.FAILED, State.REFUSED, State.ORPHANED)
            assert Do.HANG_UP in actions


CHANCES = ("p takes", "s takes", "s warm", "p crashes", "s crashes", "p waits too long", "s waits too long")
NOISE = (
    "p hears again",
    "s hears again",
    "p hears nonsense",
    "s hears nonsense",
    "p stops",
    "s stops",
    "p empty",
)


@settings(max_examples=400)
@given(st.lists(st.sampled_from(CHANCES[:3] * 4 + CHANCES[3:] + NOISE), max_size=30))
def test_whatever_happens_somebody_accepts_and_nothing_changes_before_the_commit(schedule: list[str]) -> None:
    serving, arriving = couple()
    last: dict[str, Event] = {}
    stopped = False
    for chance in schedule:
        side, name = (serving, "p") if chance[0] == "p" else (arriving, "s")
        if not side.alive:
            continue
        match chance[2:]:
            case "takes":
                if side.inbox and side.inbox[0] is not Event.LOST:
                    last[name] = side.inbox[0]
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
                if side.machine.state is State.DRAINING:
                    side.feed(Event.EMPTY)
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
