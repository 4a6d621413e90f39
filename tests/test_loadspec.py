"""Requests of the user's own: read, refused, sent as written, and judged by what they expect."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from harness.errors import InputError
from harness.loadspec import LoadSpec, read_load_spec
from loadtests.client import Address, Answer
from loadtests.spec import composer

GOOD = """
classes: [keep-alive]
requests:
  - path: /cart?item=7
    method: POST
    headers: {Authorization: Bearer abc}
    body: '{"count": 1}'
    expect: {status: [200, 201], contains: ok, headers: {x-team: mesh}}
"""


def read(folder: Path, text: str) -> LoadSpec:
    path = folder / "load.yaml"
    path.write_text(text)
    return read_load_spec(path)


def test_a_request_is_sent_as_it_is_written(tmp_path: Path) -> None:
    spec = read(tmp_path, GOOD)
    request = composer(spec.document(), reuses=False)(Address("pod", "10.0.0.1", 80), b"c-1", Random(1))
    assert spec.classes == ["keep-alive"]
    assert request.method == "POST"
    assert request.data == (
        b"POST /cart?item=7 HTTP/1.1\r\nHost: 10.0.0.1:80\r\nx-request-id: c-1\r\nAuthorization: Bearer abc\r\n"
        b'Content-Length: 12\r\nConnection: close\r\n\r\n{"count": 1}'
    )


@pytest.mark.parametrize(
    ("status", "headers", "body", "fault"),
    [
        (201, {b"x-team": b"mesh"}, b"all ok", None),
        (500, {b"x-team": b"mesh"}, b"all ok", "status"),
        (200, {}, b"all ok", "corrupted"),
        (200, {b"x-team": b"mesh"}, b"all bad", "corrupted"),
    ],
)
def test_an_answer_is_judged_by_what_is_expected(
    tmp_path: Path, status: int, headers: dict[bytes, bytes], body: bytes, fault: str | None
) -> None:
    request = composer(read(tmp_path, GOOD).document(), reuses=True)(
        Address("pod", "10.0.0.1", 80), b"c-1", Random(1)
    )
    found = request.fault(Answer(status, headers, body))
    assert (found.kind if found else None) == fault


def test_a_whole_body_may_be_expected(tmp_path: Path) -> None:
    spec = read(tmp_path, "requests: [{path: /, expect: {body: ok}}]")
    request = composer(spec.document(), reuses=True)(Address("pod", "10.0.0.1", 80), b"c-1", Random(1))
    assert request.fault(Answer(200, {}, b"ok")) is None
    assert request.fault(Answer(200, {}, b"ok!")) is not None


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("requests: []", "requests"),
        ("requests: [{path: nothing}]", "requests.0.path"),
        ("requests: [{path: /, methode: GET}]", "requests.0.methode"),
        ("requests: [{path: /, method: HEAD}]", "requests.0.method"),
        ("requests: [{path: /, headers: {Host: x}}]", "Host is the load generator's own"),
        ('requests: [{path: /, headers: {a: "b\\nc"}}]', "requests.0.headers.a"),
        ("classes: [h2]\nrequests: [{path: /}]", "classes.0"),
        ("requests: [", "not YAML"),
        ("", "the file"),
    ],
)
def test_what_could_not_be_sent_is_refused_in_one_line(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert what in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.yaml: No such file"):
        read_load_spec(tmp_path / "nowhere.yaml")
