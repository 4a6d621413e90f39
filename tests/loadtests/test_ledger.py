from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.record.ledger import LATE_MS, LoadLedger, Sockets
from loadtests import ledger
from loadtests.shapes import CONSTANT, Arrivals
from tests.record.slots import unpacked

fates = st.lists(st.booleans(), max_size=80)


def read(kept: ledger.Ledger) -> LoadLedger:
    return LoadLedger.model_validate(kept.document())


def played(right: list[bool]) -> ledger.Ledger:
    """One client whose requests end well or not, one a second."""
    kept = ledger.Ledger("worker-0", 1000.0)
    client = kept.client("w.keep-alive.0", "keep-alive", "pod-1")
    for number, ends_well in enumerate(right):
        at = 1000.0 + number
        sequence = client.begin(at)
        if ends_well:
            client.answered(sequence, at + 0.25, "v1")
        else:
            client.failed(sequence, at + 0.25, "eof", "no answer", None)
    return kept


@given(fates)
def test_every_request_is_either_answered_or_failed(right: list[bool]) -> None:
    kept = played(right)
    kept.stop(2000.0)
    client = read(kept).clients[0]
    answered = [number for first, last in client.answered for number in range(first, last + 1)]
    assert answered == [number for number, well in enumerate(right, 1) if well]
    assert [failure.sequence for failure in client.failures] == [
        number for number, well in enumerate(right, 1) if not well
    ]
    assert client.sent == ([(1, len(right))] if right else [])


@given(fates)
def test_slots_add_up_to_the_requests(right: list[bool]) -> None:
    slots = unpacked(read(played(right)).series)
    assert sum(slot.sent for slot in slots) == sum(slot.ended for slot in slots) == len(right)
    assert sum(slot.answered for slot in slots) == sum(right)
    assert sum(slot.failed for slot in slots) == len(right) - sum(right)
    assert sum(sum(slot.latency_us.values()) for slot in slots) == sum(right)
    assert sum(slot.versions.get("v1", 0) for slot in slots) == sum(right)


def test_requests_count_in_the_slot_of_their_intended_time_and_versions_in_that_of_their_end() -> None:
    slots = {slot.at: slot for slot in unpacked(read(played([True])).series)}
    assert {at: (slot.sent, slot.answered, slot.ended) for at, slot in slots.items()} == {
        1000.0: (1, 1, 0),
        1000.2: (0, 0, 1),
    }
    assert slots[1000.0].latency_us == {250000: 1}
    assert slots[1000.2].versions == {"v1": 1}


def test_a_million_requests_are_one_range() -> None:
    kept = ledger.Ledger("worker-0", 0.0)
    client = kept.client("w.post.0", "post", "pod-1")
    client.sent = 1_000_000
    assert read(kept).clients[0].answered == [(1, 1_000_000)]


def test_a_request_in_flight_is_neither_answered_nor_failed_and_fails_when_the_run_ends() -> None:
    kept = played([True])
    client = kept.client("w.stream.0", "stream", "pod-1")
    client.begin(1001.0)
    assert (read(kept).clients[1].answered, read(kept).clients[1].failures) == ([], [])
    kept.stop(1002.0)
    failure = read(kept).clients[1].failures[0]
    assert (failure.sequence, failure.kind, failure.detail) == (1, "timeout", "no answer when the run ended")


def test_connections_tell_how_they_ended() -> None:
    kept = ledger.Ledger("worker-0", 0.0)
    client = kept.client("w.post.0", "post", "pod-1")
    for how in ("told", "closed", "broken", "client"):
        client.end(client.open(1.0, listed=True), how, 2.0)
    client.open(3.0, listed=True)
    connections = read(kept).connections
    assert [connection.how for connection in connections] == ["told", "closed", "broken", "client", "open"]
    assert [connection.told_at for connection in connections] == [2.0, None, None, None, None]
    assert [connection.ended for connection in connections] == [2.0, 2.0, 2.0, 2.0, None]


def test_all_connections_are_counted_also_those_that_are_not_listed() -> None:
    kept = ledger.Ledger("worker-0", 0.0)
    client = kept.client("w.post.0", "post", "pod-1")
    for how, goaway in (
        ("told", False),
        ("told", True),
        ("closed", False),
        ("broken", False),
        ("client", False),
    ):
        connection = client.open(1.0, listed=False)
        client.carry(connection, 1)
        client.carry(connection, 2)
        client.end(connection, how, 2.0, goaway=goaway)
    found = read(kept)
    assert found.connections == []
    assert found.sockets == [
        Sockets.model_validate(
            {"class": "post", "pod": "pod-1", "opened": 5, "reused": 10, "told": 2, "goaway": 1}
            | {"closed": 1, "broken": 1}
        )
    ]
    assert {slot.at: (slot.opened, slot.cut) for slot in unpacked(found.series)} == {1.0: (5, 0), 2.0: (0, 4)}


def test_requests_that_are_passed_on_count_where_they_are_executed_and_connections_where_they_lead() -> None:
    kept = ledger.Ledger("worker-0", 0.0)
    client = kept.client("w.egress.0", "egress", "pod-2", via="pod-1")
    client.open(1.0, listed=True)
    client.answered(client.begin(1.0), 1.0, None)
    found = read(kept)
    assert (found.clients[0].pod, found.clients[0].via) == ("pod-2", "pod-1")
    assert found.connections[0].pod == "pod-1"
    assert {slot.pod: (slot.sent, slot.opened) for slot in unpacked(found.series)} == {
        "pod-1": (0, 1),
        "pod-2": (1, 0),
    }
    assert {sockets.pod: sockets.opened for sockets in found.sockets} == {"pod-1": 1, "pod-2": 0}


@given(st.permutations(range(1, 9)), st.sets(st.integers(1, 8)))
def test_requests_under_way_at_once_may_end_in_any_order(order: list[int], failing: set[int]) -> None:
    kept = ledger.Ledger("worker-0", 0.0)
    client = kept.client("w.h2.0", "h2", "pod-1")
    for _ in order:
        client.begin(1.0)
    for sequence in order:
        if sequence in failing:
            client.failed(sequence, 2.0, "reset", "RST_STREAM", None)
        else:
            client.answered(sequence, 2.0, None)
    found = read(kept).clients[0]
    answered = [number for first, last in found.answered for number in range(first, last + 1)]
    assert answered == sorted({*order} - failing)
    assert [failure.sequence for failure in found.failures] == sorted(failing)
    for failure in found.failures:
        beside = (failure.previous, failure.following)
        assert [one and one.sequence for one in beside] == [
            number if 1 <= number <= 8 else None for number in (failure.sequence - 1, failure.sequence + 1)
        ]


def test_a_failure_knows_its_neighbours() -> None:
    (failure,) = read(played([True, False, True])).clients[0].failures
    assert failure.previous is not None
    assert failure.following is not None
    assert failure.previous.model_dump() == {
        "sequence": 1,
        "at": 1000.0,
        "ended": 1000.25,
        "how": "answered",
        "served_by": "v1",
    }
    assert (failure.following.sequence, failure.following.how) == (3, "answered")


def test_progress_is_told_while_it_runs() -> None:
    kept = played([True, False, True])
    assert kept.progress() == {"sent": 3, "failed": 1, "running": True, "behind_s": 0.0}
    kept.stop(2000.0)
    assert kept.progress()["running"] is False
    assert read(kept).stopped == 2000.0


def test_a_request_is_late_only_when_its_client_was_free() -> None:
    punctuality = ledger.Punctuality()
    punctuality.sent(ready=10.0, now=10.04)
    punctuality.sent(ready=10.0, now=10.06)
    assert (punctuality.requests, punctuality.late) == (2, 1)
    assert round(punctuality.max_lag_s, 6) == 0.06


def test_a_request_is_late_when_the_whole_generator_is() -> None:
    punctuality = ledger.Punctuality()
    punctuality.beat(10.0)
    punctuality.sent(ready=10.5, now=10.5)  # the beat is overdue by 0.48 s
    punctuality.beat(10.5)
    punctuality.sent(ready=10.5, now=10.5)  # the last beat was
    punctuality.beat(10.52)
    punctuality.sent(ready=10.53, now=10.53)
    assert punctuality.late == 2


def test_constants_are_the_harness_constants() -> None:
    assert ledger.LATE_S * 1000 == LATE_MS


def test_a_recent_ledger_has_every_client_and_the_slots_and_connections_that_are_not_long_over() -> None:
    kept = played([True] * 6)
    client = kept.client("w.post.0", "post", "pod-1")
    for ended in (1001.0, 1004.0, None):
        connection = ledger.Connection(1000.0)
        if ended:
            connection.end("closed", ended)
        client.connections.append(connection)
    recent = LoadLedger.model_validate(kept.document(since=1003.0))
    assert [slot.at for slot in unpacked(recent.series)] == [1003.0, 1003.2, 1004.0, 1004.2, 1005.0, 1005.2]
    assert [connection.ended for connection in recent.connections] == [1004.0, None]
    assert recent.clients == read(kept).clients


def test_saturation_tells_what_was_asked_for_and_what_was_reached() -> None:
    start = ledger.wall(100.0)
    kept = ledger.Ledger("worker-0", start)
    arrivals = Arrivals(CONSTANT, 0.5, 0.25, 100.0, 100.0)
    kept.arrivals.append(arrivals)
    for _ in islice(arrivals, 16):  # of which the last is not sent any more
        pass
    kept.close(start + 10.0)
    kept.stop(start + 12.0)
    saturation = read(kept).saturation
    assert [saturation.asked, saturation.reached] == pytest.approx([2.0, 1.5])
