"""The main job and its negative control: a hot upgrade loses nothing, and a cold one is seen to lose requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

CLASSES = {"new-connection", "keep-alive", "idle-keep-alive", "post", "stream"}
KEPT = {"keep-alive", "idle-keep-alive", "post"}  # their connections outlive every upgrade
UPGRADES, PODS, REQUESTS = 5, 2, 20_000


def not_passed(report: dict[str, Any]) -> str:
    """What a reader of a red test wants to know first."""
    gates = [
        gate for scenario in report["scenarios"] for gate in scenario["gates"] if gate["outcome"] != "passed"
    ]
    return f"{report['outcome']}: {report.get('reason')}; gates: {gates}"


def test_five_hot_upgrades_of_two_pods_lose_no_request(hotupgrade: Callable[..., Any]) -> None:
    ran = hotupgrade("--upgrades", str(UPGRADES), "--pods", str(PODS))

    assert ran.code == 0, not_passed(ran.report)
    assert ran.report["outcome"] == "passed"
    traffic = ran.scenario["traffic"]
    assert traffic["failed"] == 0
    assert traffic["sent"] == traffic["answered"] >= REQUESTS
    assert set(ran.scenario["classes"]) == CLASSES
    assert {name: ran.scenario["classes"][name]["closed_connections"] for name in KEPT} == dict.fromkeys(
        KEPT, 0
    )
    assert [len(upgrade["pods"]) for upgrade in ran.scenario["upgrades"]] == [PODS] * UPGRADES
    assert ran.report["claim"]["upper_bound_95"] < 3.1 / REQUESTS


def test_a_cold_upgrade_is_caught(hotupgrade: Callable[..., Any]) -> None:
    ran = hotupgrade("--upgrade", "cold", "--upgrades", "1", "--pods", str(PODS))

    assert ran.code == 1, not_passed(ran.report)
    assert ran.report["outcome"] == "failed"
    failures = ran.scenario["failures"]
    assert failures
    assert {failure["phase"] for failure in failures} <= {"upgrade", "migration", "reset"}
    assert {failure["pod"] for failure in failures} == {
        pod["name"] for pod in ran.scenario["upgrades"][0]["pods"]
    }
