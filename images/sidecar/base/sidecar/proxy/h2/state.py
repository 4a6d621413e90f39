"""An HTTP/2 connection at rest, as a document: what another process needs to go on with it.

Bytes in, a checked state out, and back; `rest` takes it from an engine and puts it into one. The document is
JSON, with a number for its format and the names of the libraries whose insides it describes (docs/http2.md
lists its fields). Knows no transport and no engine.

Not carried: what is left of the budgets against floods, which begin anew.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import h2
import hpack
import hyperframe

from sidecar.errors import PeerHandoverError
from sidecar.proxy.h2.fields import Field

FORMAT = 1
LIBRARIES = f"h2 {h2.__version__} hpack {hpack.__version__} hyperframe {hyperframe.__version__}"
FORM = f"{FORMAT}, {LIBRARIES}"  # what two processes compare before a connection moves between them
CLOSED = 100  # newest closed streams that are carried: what was on its way to older ones has arrived by now
_BIG = 2**31 - 1
_ALWAYS = frozenset({1, 2, 4, 5, 8})  # settings that have a value from the start
_HALF = 2**16


class BadStateError(PeerHandoverError):
    """A document that describes no connection which this process could go on with."""


class Window(NamedTuple):
    """What the client may send: the most, what is left, and what was taken and not yet given back."""

    most: int
    left: int
    taken: int


class Table(NamedTuple):
    """One direction's HPACK table, newest entry first."""

    size: int
    entries: tuple[Field, ...]


Setting = tuple[int, tuple[int, ...]]  # code; the value in force, then those not acknowledged yet


class Waiting(NamedTuple):
    """A stream whose request has not been dispatched."""

    id: int
    fields: tuple[tuple[bytes, bytes, bool], ...]  # name, value, whether a table may hold it
    body: bytes
    held: int  # bytes of the client's windows that are not given back
    ended: bool
    trailers: tuple[Field, ...]
    received: int  # bytes of the body
    expected: int | None  # the same, as the client announced it
    window: int  # for the answer
    inbound: Window


class State(NamedTuple):
    """The connection."""

    begun: bool  # there has been a request
    greeted: bool  # the client's SETTINGS have come
    highest: int  # stream
    encoder: Table
    resized: tuple[int, ...]  # sizes of the encoder's table that the client has not been told
    decoder: Table
    allowed: int  # size of the decoder's table
    local: tuple[Setting, ...]
    remote: tuple[Setting, ...]
    window: int  # for answers, of all streams
    inbound: Window
    frames: tuple[int, int]  # largest payload, out and in
    closed: tuple[tuple[int, int | None], ...]  # stream, how (h2's StreamClosedBy)
    streams: tuple[Waiting, ...]
    partial: bytes  # frames that are not whole, and a header block that is not


def can_unpack(small: Mapping[str, Any]) -> bool:
    """Whether a parcel's small state promises a document that this process can read.

    FORM says the same before anything is sent, so that a predecessor can tell the client at once.
    """
    return small.get("format") == FORMAT and small.get("libraries") == LIBRARIES


def announced() -> dict[str, Any]:
    """What a parcel's small state says of its document."""
    return {"format": FORMAT, "libraries": LIBRARIES}


# -- document ------------------------------------------------------------------------------------------------


def encode(state: State) -> bytes:
    """The document."""
    return json.dumps(
        {
            **announced(),
            "begun": state.begun,
            "greeted": state.greeted,
            "highest": state.highest,
            "encoder": {"size": state.encoder.size, "entries": _texts(state.encoder.entries)},
            "resized": state.resized,
            "decoder": {"size": state.decoder.size, "entries": _texts(state.decoder.entries)},
            "allowed": state.allowed,
            "local": state.local,
            "remote": state.remote,
            "window": state.window,
            "inbound": state.inbound,
            "frames": state.frames,
            "closed": state.closed,
            "streams": [_stream(stream) for stream in state.streams],
            "partial": base64.b64encode(state.partial).decode(),
        },
        separators=(",", ":"),
    ).encode()


def _texts(fields: Iterable[Field]) -> list[list[str]]:
    return [[name.decode("latin-1"), value.decode("latin-1")] for name, value in fields]


def _stream(stream: Waiting) -> dict[str, Any]:
    return {
        "id": stream.id,
        "fields": [
            [name.decode("latin-1"), value.decode("latin-1"), may] for name, value, may in stream.fields
        ],
        "body": base64.b64encode(stream.body).decode(),
        "held": stream.held,
        "ended": stream.ended,
        "trailers": _texts(stream.trailers),
        "received": stream.received,
        "expected": stream.expected,
        "window": stream.window,
        "inbound": stream.inbound,
    }


def parse(data: bytes) -> State:
    """The state in a document; BadStateError, and nothing else, if there is none."""
    try:
        whole = json.loads(data)
        if not isinstance(whole, dict) or not can_unpack(whole):
            raise BadStateError("an HTTP/2 connection in a format that this release cannot take")
        state = _state(whole)
        _check(state)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise BadStateError(f"an HTTP/2 connection that makes no sense: {error!r:.200}") from error
    return state


def _state(whole: dict[str, Any]) -> State:
    out, into = whole["frames"]
    return State(
        begun=_bool(whole["begun"]),
        greeted=_bool(whole["greeted"]),
        highest=_int(whole["highest"]),
        encoder=_table(whole["encoder"]),
        resized=tuple(_int(size) for size in _list(whole["resized"])),
        decoder=_table(whole["decoder"]),
        allowed=_int(whole["allowed"], high=_HALF),
        local=_settings(whole["local"]),
        remote=_settings(whole["remote"]),
        window=_int(whole["window"], low=-_BIG),
        inbound=_window(whole["inbound"]),
        frames=(_int(out, 16384, 2**24 - 1), _int(into, 16384, 2**24 - 1)),
        closed=tuple(
            (_int(number), None if how is None else _int(how, 0, 3)) for number, how in _list(whole["closed"])
        ),
        streams=tuple(_waiting(stream) for stream in _list(whole["streams"])),
        partial=_bytes(whole["partial"]),
    )


def _waiting(one: Any) -> Waiting:
    return Waiting(
        id=_int(one["id"], low=1),
        fields=tuple((_text(name), _text(value), _bool(may)) for name, value, may in _list(one["fields"])),
        body=_bytes(one["body"]),
        held=_int(one["held"]),
        ended=_bool(one["ended"]),
        trailers=_fields(one["trailers"]),
        received=_int(one["received"], high=2**63),
        expected=None if one["expected"] is None else _int(one["expected"], high=2**63),
        window=_int(one["window"], low=-_BIG),
        inbound=_window(one["inbound"]),
    )


def _check(state: State) -> None:
    """What the fields have to be to one another."""
    numbers = [stream.id for stream in state.streams]
    if numbers != sorted(set(numbers)) or any(
        number % 2 == 0 or number > state.highest for number in numbers
    ):
        raise ValueError("streams")
    if len(state.closed) > CLOSED or any(number > state.highest for number, _ in state.closed):
        raise ValueError("closed streams")
    if state.decoder.size > state.allowed or len(state.resized) > 2:
        raise ValueError("tables")
    for stream in state.streams:
        if len(stream.body) != stream.received or stream.held < len(stream.body):
            raise ValueError("a body")
        if stream.expected is not None and stream.received > stream.expected:
            raise ValueError("a longer body than announced")


def _int(value: Any, low: int = 0, high: int = _BIG) -> int:
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{value!r:.50} is no number from {low} to {high}")
    return value


def _bool(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError(f"{value!r:.50} is neither true nor false")
    return value


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise ValueError(f"{value!r:.50} is no list")
    return value


def _text(value: Any) -> bytes:
    if type(value) is not str:
        raise ValueError(f"{value!r:.50} is no text")
    return value.encode("latin-1")


def _bytes(value: Any) -> bytes:
    return base64.b64decode(_text(value), validate=True)


def _fields(value: Any) -> tuple[Field, ...]:
    return tuple((_text(name), _text(text)) for name, text in _list(value))


def _table(value: Any) -> Table:
    table = Table(_int(value["size"], high=_HALF), _fields(value["entries"]))
    if sum(32 + len(name) + len(text) for name, text in table.entries) > table.size:  # RFC 7541, section 4.1
        raise ValueError("a table larger than its size")
    return table


def _window(value: Any) -> Window:
    most, left, taken = _list(value)
    return Window(_int(most, low=-_BIG), _int(left, low=-_BIG), _int(taken))


def _settings(value: Any) -> tuple[Setting, ...]:
    found = tuple(
        (_int(code, 1, 8), tuple(_int(number, high=2**32 - 1) for number in _list(numbers)))
        for code, numbers in _list(value)
    )
    codes = {code for code, _ in found}
    if any(not numbers for _, numbers in found) or len(codes) != len(found) or not codes >= _ALWAYS:
        raise ValueError("settings")
    return found
