"""The corpus against a real process: what is malformed never reaches the application, the rest in one form."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from tests.sidecar.corpus import ACCEPTED, CHUNKS, HEADS
from tests.sidecar.rig import Pod
from tests.sidecar.test_head import REFUSED

pytestmark = pytest.mark.integration

NEXT = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
HELLO = hashlib.sha256(b"hello").hexdigest().encode()
WHOLE = "refused, told, closed"


def form(head: str) -> tuple[str, list[tuple[str, str]]]:
    """What a head says: its line and its fields; neither their order nor the case of names says anything."""
    line, *fields = head.removesuffix("\r\n\r\n").split("\r\n")
    pairs = (field.partition(":") for field in fields)
    return line, sorted((name.lower(), value.strip(" \t")) for name, _, value in pairs)


async def refused(pod: Pod, data: bytes) -> tuple[int, str]:
    """The status, and what was wrong with the refusal, if anything was."""
    client = await pod.client()
    client.send(data)
    try:
        answer = await client.answer()
        rest = await client.rest()
    except (asyncio.IncompleteReadError, ConnectionError, TimeoutError) as error:
        return 0, repr(error)
    finally:
        client.close()
    told = (
        answer.closes
        and answer.headers.get("x-sidecar-error")
        and answer.headers["x-sidecar-version"] == "v7"
    )
    return answer.status, WHOLE if told and not rest else f"{answer.headers}, then {rest!r}"


async def test_a_malformed_head_is_refused_and_nothing_of_it_reaches_the_application(pod: Pod) -> None:
    await (await pod.start(7, 0)).saw("accepting")
    cases = {**REFUSED, **HEADS}
    found = {name: await refused(pod, head + b"0\r\n\r\n" + NEXT) for name, (head, _) in cases.items()}
    assert found == {name: (status, WHOLE) for name, (_, status) in cases.items()}
    assert pod.app.heads == []


@pytest.mark.parametrize("apart", [False, True])
async def test_a_malformed_chunk_is_refused_and_its_request_is_never_executed(apart: bool, pod: Pod) -> None:
    await (await pod.start(7, 0)).saw("accepting")
    head = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    if apart:  # the application has the head when the fault comes
        head += b"1\r\nx\r\n"
    found = {name: await refused(pod, head + body + NEXT) for name, body in CHUNKS.items()}
    assert found == dict.fromkeys(CHUNKS, (400, WHOLE))
    assert pod.app.executed.total() == 0
    assert [head for head in pod.app.heads if b"smuggled" in head] == []


async def test_what_is_accepted_reaches_the_application_in_one_form(pod: Pod) -> None:
    await (await pod.start(7, 0)).saw("accepting")
    found = {}
    for name, (request, _) in ACCEPTED.items():
        pod.app.heads.clear()
        client = await pod.client()
        client.send(request.encode("latin-1"))
        answer = await client.answer()
        if not answer.closes:  # and what follows it is the next request, and nothing else
            assert (await client.get("/next")).status == 200
            assert pod.app.heads.pop().startswith(b"GET /next HTTP/1.1\r\n")
        client.close()
        assert (answer.status, answer.body) == (200, HELLO if request.startswith("POST") else b"ok"), name
        (head,) = pod.app.heads
        found[name] = form(head.decode("latin-1"))
    assert found == {name: form(head) for name, (_, head) in ACCEPTED.items()}
