import pytest

from harness.loadtest.soak import soak
from harness.record.ledger import LoadLedger
from harness.record.loadtest import Soak
from harness.record.report import ClockOffset, Scenario, Traffic
from harness.record.upgrade import Upgrade
from tests.loadtest.made import START, Went, load, slot
from tests.record.slots import packed
from tests.report.example import IMAGES, upgrade

POD = "application-2-a"
FIRST_S, EVERY_S, SECONDS = 2.0, 5.0, 17
PHASE_MS = {"upgrade": 5.0, "migration": 30.0, "reset": 6.0}
USUAL_MS, PER_SLOT = 4.0, 10
JUDGED = Scenario(name="soak", outcome="passed", traffic=Traffic(sent=1700, answered=1699, failed=1))


def upgrades(count: int = 3) -> list[Upgrade]:
    return [upgrade(1 + n, START + FIRST_S + n * EVERY_S, pods=[POD]) for n in range(count)]


def phase_at(made: list[Upgrade], at: float) -> str:
    """What the pod does at a moment, told from the records alone."""
    phases = [phase for one in made for phase in one.pods[0].phases if phase.name in PHASE_MS]
    return next((phase.name for phase in phases if phase.start <= at < (phase.end or at)), "")


def ledger(made: list[Upgrade], ahead_s: float = 0.0) -> LoadLedger:
    """Ten requests a slot, slower in some phases, by a clock that is so far ahead."""
    slots = []
    for number in range(SECONDS * 10):
        at = START + number / 10
        ms = PHASE_MS.get(phase_at(made, at + 0.05), USUAL_MS)
        slots.append(slot(at + ahead_s, PER_SLOT, ms, failed=int(number == 120), pod=POD))
    whole = load([Went(asked=100)] * 4).model_dump()
    return LoadLedger.model_validate(
        {**whole, "series": packed(slots), "efforts": whole["efforts"][:SECONDS]}
    )


def played(ahead_s: float = 0.0, clocks: list[ClockOffset] | None = None) -> Soak:
    made = upgrades()
    return soak(JUDGED, made, [ledger(made, ahead_s)], clocks or [], factor=1.4, workers=1)


def test_each_pair_of_versions_has_its_phases_with_what_they_took() -> None:
    pairs = played().pairs
    assert [(pair.from_, pair.to, pair.upgrades) for pair in pairs] == [(*IMAGES, 2), (*IMAGES[::-1], 1)]
    for pair in pairs:
        figures = {one.phase: one for one in pair.phases}
        for phase, ms in PHASE_MS.items():
            latency = figures[phase].latency  # type: ignore[index]
            assert latency is not None
            assert latency.p50 == pytest.approx(ms, rel=0.01)
        assert figures["migration"].seconds == pytest.approx(0.84 * pair.upgrades, abs=0.11 * pair.upgrades)


def test_every_moment_and_every_request_is_in_one_phase_of_one_pair() -> None:
    phases = [one for pair in played().pairs for one in pair.phases]
    assert sum(one.seconds for one in phases) == pytest.approx(SECONDS)
    assert sum(one.sent for one in phases) == SECONDS * 10 * PER_SLOT
    assert sum(one.failed for one in phases) == 1
    assert all(one.rate == pytest.approx(100, abs=3) for one in phases)


def test_what_comes_before_the_first_upgrade_is_its_steady_phase() -> None:
    first = played().pairs[0].phases[0]
    assert first.phase == "steady"
    assert first.seconds == pytest.approx(FIRST_S + 2 * 0.1, abs=0.3)


def test_a_workers_clock_is_corrected_before_phases_are_told() -> None:
    clocks = [ClockOffset(pod="worker-0", offset_ms=700.0, uncertainty_ms=1.0)]
    assert played(0.7, clocks).pairs == played().pairs
    assert played(0.7).pairs != played().pairs


def test_slots_in_which_nothing_was_sent_do_not_lower_the_rate() -> None:
    made = upgrades(1)
    after = [slot(START + SECONDS + number / 10, 0, 1.0, pod=POD) for number in range(50)]
    longer = ledger(made)
    longer.series += packed(after)
    (pair,) = soak(JUDGED, made, [longer], [], 1.4, 1).pairs
    assert pair.phases[-1].rate == pytest.approx(100, abs=3)


def test_the_verdict_and_the_counts_are_the_judges() -> None:
    found = played()
    assert (found.outcome, found.sent, found.failed, found.upgrades) == ("passed", 1700, 1, 3)
    assert (found.asked, found.reached, found.seconds) == (100.0, 100.0, float(SECONDS))


def test_rates_of_workers_side_by_side_add_up_and_those_of_laps_do_not() -> None:
    made = upgrades()
    two = [ledger(made), ledger(made)]
    assert soak(JUDGED, made, two, [], 1.4, workers=2).reached == 200.0
    assert soak(JUDGED, made, two, [], 1.4, workers=1).reached == 100.0


def test_a_soak_that_was_ended_at_once_has_no_figures() -> None:
    found = soak(Scenario(name="soak", outcome="interrupted"), [], [], [], 1.4, 2)
    assert (found.pairs, found.latency, found.reached) == ([], None, 0.0)
