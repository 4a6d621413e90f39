"""Programs that are not there are named, with what installs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import contestants, speed


def there(name: str) -> str:
    return f"/usr/bin/{name}"


def test_missing_programs_are_named_with_the_packages_that_have_them() -> None:
    lines = contestants.missing(lambda name: None if name in ("wrk", "taskset") else there(name))
    assert "wrk, taskset cannot be found; apt-get install util-linux wrk" in lines


def test_nothing_is_missing_where_everything_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert contestants.missing(there) == []


def test_the_command_says_in_one_line_what_is_missing_and_starts_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(contestants, "missing", lambda: ["wrk cannot be found; apt-get install wrk"])
    monkeypatch.setattr(speed, "measure", lambda *_: pytest.fail("started"))
    monkeypatch.setattr("sys.argv", ["speed"])
    assert speed.main() == 2
    assert capsys.readouterr().err == "bench: wrk cannot be found; apt-get install wrk\n"


def test_a_configuration_has_no_value_left_open(tmp_path: Path) -> None:
    contestants.application(tmp_path, 1)
    for proxy in contestants.PROXIES[2:]:  # the first are the sidecar and Envoy, whose program may be missing
        proxy.launch(tmp_path, 1, 2)
    for path in tmp_path.iterdir():
        assert "@" not in path.read_text()
