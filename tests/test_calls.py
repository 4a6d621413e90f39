"""Why a call of the API failed, in a line that a user can read."""

from __future__ import annotations

from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import MaxRetryError, NewConnectionError

from harness.calls import reason_of


def test_a_server_that_does_not_answer_is_told_by_the_reason_without_the_url() -> None:
    refused = NewConnectionError(HTTPConnection("10.0.0.1", 6443), "Connection refused")
    said = reason_of(MaxRetryError(HTTPConnectionPool("10.0.0.1"), "/api?labelSelector=a%3Db", refused))
    assert "Connection refused" in said
    assert "10.0.0.1" in said
    assert "labelSelector" not in said
