"""The frames of every release, byte for byte, as `released/protocol-N.json` keeps them.

A file is written once, with the release that first speaks a protocol, and never edited: peers that wrote
these bytes are out there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

PORT = 54321  # in these frames: a listener's on 127.0.0.1


class Released(NamedTuple):
    """One frame: the record, and what it has to be read as."""

    name: str
    kind: int
    body: dict[str, Any]
    data: bytes
    record: bytes

    def at(self, port: int) -> bytes:
        """The same record for a listener elsewhere; as long as it was, so that nothing else changes."""
        assert len(str(port)) == len(str(PORT))
        return self.record.replace(str(PORT).encode(), str(port).encode())


RELEASED: dict[int, dict[str, Released]] = {
    document["protocol"]: {
        frame["name"]: Released(
            frame["name"],
            frame["kind"],
            frame["body"],
            bytes.fromhex(frame.get("data", "")),
            bytes.fromhex(frame["hex"]),
        )
        for frame in document["frames"]
    }
    for document in (
        json.loads(path.read_text())
        for path in sorted((Path(__file__).parent / "released").glob("protocol-*.json"))
    )
}
ALL = [frame for frames in RELEASED.values() for frame in frames.values()]
