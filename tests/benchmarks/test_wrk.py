"""What wrk prints, read."""

from __future__ import annotations

import pytest

from benchmarks.wrk import LoadError, parse

OUTPUT = """Running 6s test @ http://127.0.0.1:40001/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     6.91ms    1.35ms  21.23ms   87.55%
    Req/Sec     9.30k   812.11    11.02k    70.00%
  Latency Distribution
     50%    6.74ms
     75%    7.29ms
     90%    8.01ms
     99%   13.48ms
  55512 requests in 6.00s, 35.21MB read
Requests/sec:   9247.31
Transfer/sec:      5.86MB
"""


def test_requests_rate_and_99th_percentile_are_read() -> None:
    assert parse(OUTPUT) == (55512, 9247.31, 13.48)


@pytest.mark.parametrize(("printed", "milliseconds"), [("990.00us", 0.99), ("1.05s", 1050.0)])
def test_a_percentile_in_any_unit_is_milliseconds(printed: str, milliseconds: float) -> None:
    assert parse(OUTPUT.replace("13.48ms", printed)).p99_ms == pytest.approx(milliseconds)


@pytest.mark.parametrize(
    "trouble",
    ["  Socket errors: connect 0, read 3, write 0, timeout 0\n", "  Non-2xx or 3xx responses: 12\n"],
)
def test_a_run_in_which_requests_failed_is_no_measurement(trouble: str) -> None:
    with pytest.raises(LoadError, match=trouble.strip()):
        parse(OUTPUT.replace("Requests/sec", trouble + "Requests/sec"))


@pytest.mark.parametrize(
    "output", ["", "unable to connect to 127.0.0.1:1 Connection refused\n", OUTPUT.replace("55512", "0")]
)
def test_a_run_without_requests_is_no_measurement(output: str) -> None:
    with pytest.raises(LoadError):
        parse(output)
