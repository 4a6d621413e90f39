from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.record.ledger import AppLedger, LoadLedger, Ranges
from harness.verdict import ranges
from harness.verdict.reconcile import Reconciled, reconcile

START, STOP = 1000.0, 1010.0
SEEN = ["answered", "refused", "reset", "eof", "timeout", "status", "protocol", "corrupted", "in flight"]
FATES = ("lost", "executed_unanswered", "errors", "corrupted", "duplicated")


@dataclass(frozen=True)
class Fate:
    """What a client saw of a request, and how often the application executed it."""

    seen: str
    executed: int


def ledgers(fates: list[Fate], closed: int = 0) -> tuple[LoadLedger, AppLedger]:
    """Ledgers of one client that sent a request per fate, numbered from 1."""
    numbered = list(enumerate(fates, 1))
    failures = [
        {"sequence": number, "at": START + number / 100, "ended": START + number / 100 + 1, "kind": fate.seen}
        | {"detail": "so it was"}
        for number, fate in numbered
        if fate.seen not in ("answered", "in flight")
    ]
    client = {
        "name": "c",
        "class": "post",
        "pod": "app-0",
        "sent": ranges.of(number for number, _ in numbered),
        "answered": ranges.of(number for number, fate in numbered if fate.seen == "answered"),
        "failures": failures,
    }
    connection = {
        "client": "c",
        "class": "post",
        "pod": "app-0",
        "opened": START,
        "ended": None,
        "requests": 1,
    }
    load = {
        "worker": "w",
        "started": START,
        "stopped": STOP,
        "clients": [client],
        "connections": [connection | {"how": "closed"}] * closed + [connection | {"how": "broken"}],
        "series": [],
        "saturation": {"late_fraction": 0, "max_lag_ms": 0, "cpu_fraction": 0},
    }
    executed = ranges.of(number for number, fate in numbered if fate.executed)
    twice = [(number, fate.executed) for number, fate in numbered if fate.executed > 1]
    app = AppLedger(pod="app-0", executed={"c": executed}, duplicated={"c": twice} if twice else {})
    return LoadLedger.model_validate(load), app


def put_together(*fates: Fate, known: bool = True, closed: int = 0) -> Reconciled:
    load, app = ledgers(list(fates), closed)
    return reconcile([load], {"app-0": app if known else None})


@given(st.lists(st.builds(Fate, st.sampled_from(SEEN), st.integers(0, 3)), max_size=60), st.booleans())
def test_every_request_has_one_fate_and_none_vanishes(fates: list[Fate], known: bool) -> None:
    found = put_together(*fates, known=known)
    counts = found.traffic("post")
    assert counts.sent == len(fates)
    assert counts.sent == counts.answered + counts.failed
    assert counts.failed == sum(getattr(counts, fate) for fate in FATES)
    assert counts.failed == len(found.failed) == len({one.sequence for one in found.failed})
    if known:
        assert counts.duplicated == sum(fate.executed > 1 for fate in fates)
        assert counts.answered == sum(fate.seen == "answered" and fate.executed < 2 for fate in fates)
        assert found.unrecorded == sum(fate == Fate("answered", 0) for fate in fates)
    assert found.unexpected == found.contradictions == 0


@pytest.mark.parametrize(
    ("seen", "executed", "fate"),
    [
        ("refused", 0, "lost"),
        ("reset", 0, "lost"),
        ("eof", 0, "lost"),
        ("timeout", 0, "lost"),
        ("in flight", 0, "lost"),
        ("reset", 1, "executed_unanswered"),
        ("eof", 1, "executed_unanswered"),
        ("timeout", 1, "executed_unanswered"),
        ("in flight", 1, "executed_unanswered"),
        ("status", 0, "errors"),
        ("status", 1, "errors"),
        ("protocol", 1, "errors"),
        ("corrupted", 1, "corrupted"),
        ("answered", 2, "duplicated"),
        ("reset", 2, "duplicated"),
        ("corrupted", 3, "duplicated"),
        ("status", 2, "duplicated"),
        ("in flight", 2, "duplicated"),
    ],
)
def test_fate_follows_from_what_both_sides_saw(seen: str, executed: int, fate: str) -> None:
    found = put_together(Fate("answered", 1), Fate(seen, executed))
    assert [(one.sequence, one.fate) for one in found.failed] == [(2, fate)]
    assert getattr(found.traffic("post"), fate) == 1


def test_without_the_applications_ledger_an_unanswered_request_is_lost_and_says_so() -> None:
    found = put_together(Fate("answered", 1), Fate("reset", 1), known=False)
    assert found.missing == ["app-0"]
    assert found.failed[0].fate == "lost"
    assert "app-0 has no ledger" in found.failed[0].detail


def test_a_pod_that_nobody_asked_for_its_ledger_is_missing_too() -> None:
    load, _ = ledgers([Fate("answered", 1)])
    assert reconcile([load], {}).missing == ["app-0"]


def test_a_request_that_no_client_sent_is_unexpected() -> None:
    load, app = ledgers([Fate("answered", 1)])
    app.executed["c"] = [(1, 3)]
    app.executed["stranger"] = [(7, 7)]
    assert reconcile([load], {"app-0": app}).unexpected == 3


def test_a_request_executed_at_another_pod_is_unexpected() -> None:
    load, app = ledgers([Fate("answered", 1)])
    other = AppLedger(pod="app-1", executed={"c": [(1, 1)]}, duplicated={})
    assert reconcile([load], {"app-0": app, "app-1": other}).unexpected == 1


def test_contradictions_are_counted_and_decided_against_success() -> None:
    load, app = ledgers([Fate("reset", 0), Fate("answered", 1)])
    load.clients[0].answered = [(1, 2)]
    load.clients[0].sent = [(1, 1)]
    found = reconcile([load], {"app-0": app})
    assert found.contradictions == 2
    assert (found.traffic("post").sent, found.traffic("post").lost, found.traffic("post").answered) == (
        2,
        1,
        1,
    )


def test_two_clients_of_one_name_are_a_contradiction() -> None:
    load, app = ledgers([Fate("answered", 1)])
    assert reconcile([load, load], {"app-0": app}).contradictions == 1


def test_only_idle_connections_that_the_server_closed_are_counted() -> None:
    assert put_together(Fate("answered", 1), closed=2).traffic("post").closed_connections == 2


def test_send_time_of_a_duplicate_is_estimated_between_known_ones() -> None:
    fates = [Fate("answered", 1)] * 101
    fates[50] = Fate("answered", 2)
    assert put_together(*fates).failed[0].at == pytest.approx((START + STOP) / 2)


def test_ledgers_of_ten_million_requests_are_put_together_in_ranges() -> None:
    load, app = ledgers([Fate("answered", 1)])
    everything: Ranges = [(1, 10_000_000)]
    load.clients[0].sent = load.clients[0].answered = everything
    app.executed["c"] = everything
    assert reconcile([load], {"app-0": app}).traffic("post").answered == 10_000_000


def served_by(
    *executed: dict[str, Ranges], duplicated: dict[str, list[tuple[int, int]]] | None = None
) -> Reconciled:
    """Three requests that a client of the Service sent; each of `executed` is one application's ledger."""
    load, _ = ledgers([Fate("answered", 1), Fate("answered", 1), Fate("reset", 1)])
    load.clients[0].pod = "service"
    twice = [duplicated or {}, {}]
    kept = [AppLedger(pod=f"app-{n}", executed=one, duplicated=twice[n]) for n, one in enumerate(executed)]
    return reconcile([load], {app.pod: app for app in kept})


def test_what_went_to_the_service_is_looked_for_in_all_applications() -> None:
    found = served_by({"c": [(1, 1)]}, {"c": [(2, 3)]})
    traffic = found.classes["post"]
    assert (traffic.answered, traffic.executed_unanswered, traffic.failed) == (2, 1, 1)
    assert (found.unexpected, found.unrecorded, found.missing) == (0, 0, [])


def test_what_two_applications_executed_was_executed_twice() -> None:
    found = served_by({"c": [(1, 2)]}, {"c": [(2, 3)]})
    assert found.classes["post"].duplicated == 1
    found = served_by({"c": [(1, 2)]}, {"c": [(2, 3)]}, duplicated={"c": [(2, 2)]})
    assert "executed 3 times" in found.failed[0].detail


def test_what_no_client_sent_is_unexpected_behind_a_service_too() -> None:
    assert served_by({"c": [(1, 3)]}, {"c": [(9, 9)]}).unexpected == 1


def test_without_one_applications_ledger_nobody_knows_what_went_to_the_service() -> None:
    load, app = ledgers([Fate("reset", 1)])
    load.clients[0].pod = "service"
    found = reconcile([load], {"app-0": app, "app-1": None})
    assert found.classes["post"].lost == 1
    assert found.missing == ["app-1"]
