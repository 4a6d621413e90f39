"""What is sent to a workload of the user's own, and what has to come back: a YAML file, read and checked.

    classes: [new-connection, keep-alive, idle-keep-alive]     all three unless named
    requests:                                                  each client draws from them at random
      - path: /api/cart?item=7
        method: POST                                           GET unless named
        headers: {Authorization: Bearer …}
        body: '{"count": 1}'
        expect: {status: [200, 201], contains: '"ok"'}         status 200 unless named

Knows nothing of how it is sent; `loadtests/spec.py` reads what `document` gives.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from harness.errors import InputError

SpecClass = Literal["new-connection", "keep-alive", "idle-keep-alive"]
"""The classes that need nothing of the application but an answer."""

Token = Annotated[str, StringConstraints(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]  # RFC 9110 section 5.6.2
Value = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$")]
OURS = re.compile(r"host|content-length|transfer-encoding|connection|x-request-id|expect", re.IGNORECASE)


class _Part(BaseModel):
    """Nothing but what is known: a misspelt key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Expect(_Part):
    """What makes an answer right: one of the statuses, and all else that is named."""

    status: list[Annotated[int, Field(ge=200, le=599)]] = Field(default=[200], min_length=1)
    body: str | None = Field(default=None, description="the whole body")
    contains: str | None = Field(default=None, description="a part of the body")
    headers: dict[Token, Value] = {}


class RequestSpec(_Part):
    """One request. Host, framing and x-request-id are the load generator's."""

    path: Annotated[str, StringConstraints(pattern=r"^/[!-~]*$")]
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = "GET"
    headers: dict[Token, Value] = {}
    body: str = ""
    expect: Expect = Expect()


class LoadSpec(_Part):
    """The whole file."""

    classes: list[SpecClass] = Field(
        default=["new-connection", "keep-alive", "idle-keep-alive"], min_length=1
    )
    requests: list[RequestSpec] = Field(min_length=1)

    def document(self) -> str:
        """The requests as JSON, for the load generator."""
        return self.model_dump_json(exclude={"classes"})


def read_load_spec(path: Path) -> LoadSpec:
    """Reads the file; InputError for anything that could not be sent."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give the path of a load spec") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    try:
        spec = LoadSpec.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise InputError(
            f"{path}: not YAML ({' '.join(str(error).split())[:120]}); mend the syntax"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{path}: {where}: {first['msg']}; see docs/clusters.md for the form") from None
    for index, request in enumerate(spec.requests):
        for name in request.headers:
            if OURS.fullmatch(name):
                raise InputError(
                    f"{path}: requests.{index}.headers: {name} is the load generator's own; remove it"
                )
    return spec
