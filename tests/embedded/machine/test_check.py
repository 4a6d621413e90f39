"""What `hotupgrade doctor` says of this host, and the remedies."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.embedded.machine import check


@pytest.mark.integration
def test_everything_is_really_tried_and_works_where_machines_work() -> None:
    findings = check.check()
    assert [finding.name for finding in findings] == ["kernel", "user", "namespaces", "mounts", "network"]
    assert all(finding.ok for finding in findings), findings


@pytest.mark.integration
def test_a_trial_that_dies_is_a_finding_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "CHILD", "raise SystemExit('no such thing')")
    (finding,) = check.check()
    assert not finding.ok
    assert "no such thing" in finding.detail
    assert finding.remedy == check.remedy()


def test_remedies_follow_the_hosts_settings(tmp_path: Path) -> None:
    (tmp_path / "kernel").mkdir()
    (tmp_path / "user").mkdir()
    (tmp_path / "kernel/unprivileged_userns_clone").write_text("0\n")
    (tmp_path / "kernel/apparmor_restrict_unprivileged_userns").write_text("0\n")
    (tmp_path / "user/max_user_namespaces").write_text("0\n")
    remedy = check.remedy(tmp_path)
    assert "kernel.unprivileged_userns_clone=1" in remedy
    assert "apparmor" not in remedy
    assert "user.max_user_namespaces=10000" in remedy
    assert "root" in remedy
