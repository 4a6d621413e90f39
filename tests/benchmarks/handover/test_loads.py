from __future__ import annotations

from benchmarks.handover.loads import read_h2load, read_wrk

WRK = """Running 1440m test @ http://127.0.0.1:9/echo
  1 threads and 16 connections
  20518 requests in 9.07s, 3.61MB read
{more}Requests/sec:   2261.40
Transfer/sec:    407.61KB
"""
H2LOAD = """finished in 1.02s, 1960.80 req/s, 200.00KB/s
requests: 2000 total, 2000 started, 2000 done, {succeeded} succeeded, {failed} failed, {errored} errored, 0 timeout
status codes: {succeeded} 2xx, 0 3xx, 0 4xx, 0 5xx
"""


def test_wrk_without_errors() -> None:
    load = read_wrk(WRK.format(more=""))
    assert (load.requests, load.failed, load.per_second) == (20518, {}, 2261.4)


def test_errors_of_wrk_are_read_by_kind() -> None:
    more = "  Socket errors: connect 0, read 3, write 1, timeout 2\n  Non-2xx or 3xx responses: 5\n"
    assert read_wrk(WRK.format(more=more)).failed == {
        "connect": 0,
        "read": 3,
        "write": 1,
        "timeout": 2,
        "status": 5,
    }


def test_wrk_that_says_nothing_has_done_nothing() -> None:
    assert read_wrk("unable to connect").requests == 0


def test_h2load_without_errors() -> None:
    load = read_h2load(H2LOAD.format(succeeded=2000, failed=0, errored=0))
    assert load.requests == 2000
    assert load.per_second == 1960.8
    assert not any(load.failed.values())


def test_errors_of_h2load_are_read() -> None:
    load = read_h2load(H2LOAD.format(succeeded=1990, failed=10, errored=10))
    assert load.failed["failed"] == 10


def test_h2load_without_sums_has_failed() -> None:
    assert sum(read_h2load("").failed.values()) == 1
