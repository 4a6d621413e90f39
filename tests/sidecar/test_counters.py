"""How many requests were answered, by class of status."""

from __future__ import annotations

from sidecar.config import read
from sidecar.proxy.service import Service


async def test_answers_are_counted_by_class_and_what_is_no_class_apart() -> None:
    service = Service(read({}))
    for status in (200, 204, 301, 404, 502, 599, 999, 99):
        service.count(status)
    service.close()
    assert service.requests == [2, 0, 2, 1, 1, 2]
