"""Containers' logs: lines, lengths, rotation."""

from __future__ import annotations

from pathlib import Path

from harness.embedded.machine import logger


def test_stamps_have_nanoseconds() -> None:
    assert logger.stamp(1_767_323_045_000_000_042) == "2026-01-02T03:04:05.000000042Z"


def test_lines_are_put_together_from_pieces() -> None:
    lines = logger.Lines()
    assert lines.feed(b"one\ntw") == [b"one"]
    assert lines.feed(b"o\n\nthree") == [b"two", b""]
    assert lines.end() == [b"three"]
    assert lines.end() == []


def test_long_lines_are_cut_without_losing_a_byte() -> None:
    lines, text = logger.Lines(), bytes(range(65, 91)) * 3000
    found = lines.feed(text[:50_000]) + lines.feed(text[50_000:] + b"\n") + lines.end()
    assert b"".join(found) == text
    assert max(map(len, found)) == logger.MAX_LINE_BYTES


def test_a_log_is_bounded_by_one_rotation(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = logger.Log("c", str(path), 1)
    line = b"x" * 1000
    for _ in range(3 * logger.MAX_LOG_BYTES // len(line) // 100):
        log.write("stdout", [line] * 100)
    log.close()
    sizes = [file.stat().st_size for file in tmp_path.iterdir()]
    assert len(sizes) == 2
    assert max(sizes) <= logger.MAX_LOG_BYTES
    assert path.read_bytes().splitlines()[-1].endswith(b" stdout F " + line)


def test_a_log_of_before_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("before\n")
    log = logger.Log("c", str(path), 1)
    log.write("stderr", [b"after"])
    log.close()
    first, second = path.read_text().splitlines()
    assert first == "before"
    assert second.split(" ")[1:] == ["stderr", "F", "after"]
