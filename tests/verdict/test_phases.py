import pytest

from harness.record.upgrade import PodEvent, Upgrade
from harness.verdict.phases import ENDPOINTS_S, Phases, Place, flips, window
from tests.verdict import synthetic

PATCHED = 1000.0
HOT = synthetic.upgrade(1, PATCHED)
NEXT = synthetic.upgrade(2, PATCHED + 10)
COLD = synthetic.upgrade(1, PATCHED, mode="cold")


@pytest.mark.parametrize(
    ("pod", "after", "phase", "upgrade"),
    [
        ("app-0", -1.0, "steady", None),
        ("app-0", 0.05, "steady", 1),
        ("app-0", 0.1, "upgrade", 1),
        ("app-0", 0.5, "migration", 1),
        ("app-0", 1.27, "migration", 1),  # the gap between migration and reset
        ("app-0", 1.4, "reset", 1),
        ("app-0", 2.0, "settled", 1),
        ("app-1", 0.5, "steady", 1),
        ("app-0", 9.0, "settled", None),
        ("app-1", 10.5, "steady", 2),
        ("app-0", 10.5, "migration", 2),
        ("somebody-else", 0.5, "steady", 1),
    ],
)
def test_moment_is_put_into_the_phase_that_began_last(
    pod: str, after: float, phase: str, upgrade: int | None
) -> None:
    place = Phases([NEXT, HOT]).at(pod, PATCHED + after)
    assert (place.phase, place.upgrade) == (phase, upgrade)


@pytest.mark.parametrize(
    ("start", "end", "phase", "upgrade"),
    [
        (-1.0, 0.5, "migration", 1),  # sent in peace, failed in the migration
        (0.5, 1.4, "reset", 1),  # both disturbed: where it ended
        (1.4, 5.0, "reset", 1),  # sent in the reset, failed later
        (-1.0, 5.0, "upgrade", 1),  # lasted through all of it
        (-2.0, -1.0, "steady", None),
        (4.0, 5.0, "settled", None),
        (-1.0, 0.06, "upgrade", 1),  # failed just before the phase, which the watch sees to 50 ms
        (1.65, 1.66, "reset", 1),  # sent just after the reset
        (1.7, 1.71, "settled", 1),
    ],
)
def test_what_lasts_is_put_where_it_met_an_upgrade(
    start: float, end: float, phase: str, upgrade: int | None
) -> None:
    place = Phases([HOT]).during("app-0", PATCHED + start, PATCHED + end)
    assert (place.phase, place.upgrade) == (phase, upgrade)


def test_pod_whose_upgrade_broke_off_stays_in_its_phase() -> None:
    broken = HOT.model_copy(deep=True)
    broken.settled = None
    del broken.pods[0].phases[2:]
    broken.pods[0].phases[1].end = None
    assert Phases([broken]).at("app-0", PATCHED + 60) == Place("migration", 1)
    assert window(broken) == (PATCHED, None)


def test_an_upgrade_that_was_interrupted_before_its_pods_did_anything_has_no_phases() -> None:
    early = HOT.model_copy(deep=True)
    early.settled = None
    for pod in early.pods:
        pod.phases = []
    phases = Phases([early])
    assert phases.during_any(PATCHED + 1, PATCHED + 2) == Place("steady", 1)
    assert not phases.without_endpoints(PATCHED + 1, PATCHED + 2)
    assert not phases.in_doubt(PATCHED + 1, PATCHED + 2, ["app-0"], 1.0)
    assert not list(flips(early))


def test_of_two_upgrades_that_have_not_settled_the_one_patched_last_is_under_way() -> None:
    first, second = HOT.model_copy(deep=True), NEXT.model_copy(deep=True)
    first.settled = None
    phases = Phases([second, first])
    assert second.settled is not None
    moments = [PATCHED - 1, PATCHED + 9, second.patched, second.settled, second.settled + 0.001]
    assert [phases.at("app-9", at).upgrade for at in moments] == [None, 1, 2, 2, 1]


def test_window_ends_with_the_last_pods_reset() -> None:
    assert window(HOT) == (PATCHED, HOT.pods[1].phases[2].end)


def test_window_of_a_cold_upgrade_ends_when_the_last_container_runs() -> None:
    assert window(COLD) == (PATCHED, COLD.pods[1].phases[0].end)


def test_every_pod_flips_once_and_a_cold_upgrade_never() -> None:
    assert [(flip.pod, flip.start) for flip in flips(HOT)] == [
        (pod.name, pod.phases[1].start) for pod in HOT.pods
    ]
    assert not list(flips(COLD))


def test_what_went_to_any_pod_is_put_into_a_back_off_first_then_into_a_disturbance() -> None:
    phases = Phases([HOT])
    assert phases.during_any(PATCHED + 0.5, PATCHED + 0.5).phase == "migration"
    assert phases.during_any(PATCHED - 5, PATCHED - 5).phase == "steady"
    waits = HOT.model_copy(deep=True)
    waits.pods[1].phases[0] = (
        waits.pods[1].phases[0].model_copy(update={"name": "back-off", "start": PATCHED + 0.4})
    )
    assert Phases([waits]).during_any(PATCHED + 0.5, PATCHED + 0.5) == Place("back-off", 1)
    assert Phases([]).during_any(1.0, 2.0) == Place("steady", None)


def delayed_alone() -> Upgrade:
    """One pod: in back-off from 0.0 to 0.412 after its change, works at 1.248."""
    upgrade = synthetic.upgrade(1, PATCHED, pods=["app-0"])
    phases = upgrade.pods[0].phases
    phases[0] = phases[0].model_copy(update={"name": "back-off"})
    return upgrade


@pytest.mark.parametrize(
    ("after", "without"), [(-0.1, False), (0.2, True), (1.2, True), (4.2, True), (4.3, False)]
)
def test_a_pod_is_an_endpoint_again_only_when_what_was_delayed_works(after: float, without: bool) -> None:
    at = PATCHED + after
    assert Phases([delayed_alone()]).without_endpoints(at, at) is without
    assert not Phases([HOT]).without_endpoints(at, at)


def test_a_container_that_ends_again_after_its_delay_has_itself_to_blame() -> None:
    crashes = delayed_alone()
    pod = crashes.pods[0]
    pod.phases[1].end = PATCHED + 60
    crash = PodEvent(at=PATCHED + 1, source="watch", reason="Terminated", container=pod.working)
    late = PATCHED + 1 + ENDPOINTS_S + 0.1
    assert Phases([crashes]).without_endpoints(late, late)
    pod.events.append(crash)
    assert not Phases([crashes]).without_endpoints(late, late)
