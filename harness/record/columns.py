"""Numbers of many slots, packed as load generators write them, and latencies in two bytes. Knows no slot."""

from __future__ import annotations

from array import array
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import GetPydanticSchema
from pydantic_core import core_schema

if TYPE_CHECKING:
    Numbers = array[int]
else:
    Numbers = array  # which Python 3.11 does not subscript


def _packed(typecode: str) -> GetPydanticSchema:
    """Base64 of little-endian numbers in JSON, an array in Python."""

    def read(value: object) -> array[int]:
        if isinstance(value, array):
            return value
        if not isinstance(value, str):
            raise ValueError("a column is base64")
        column = array(typecode)
        column.frombytes(b64decode(value, validate=True))
        return column

    def schema(_: Any, __: Any) -> core_schema.CoreSchema:
        write = core_schema.plain_serializer_function_ser_schema(
            lambda column: b64encode(column).decode(), when_used="json"
        )
        return core_schema.no_info_plain_validator_function(read, serialization=write)

    return GetPydanticSchema(schema)


Column = Annotated[Numbers, _packed("I")]
"""A count for each slot, in four bytes."""

Codes = Annotated[Numbers, _packed("H")]
"""Latencies, each as a code in two bytes."""


def zeros(count: int) -> array[int]:
    """A column of so many slots in which nothing happened."""
    return array("I", bytes(4 * count))


def microseconds(code: int) -> int:
    """What a code stands for: its three digits, and as many zeros as 900 goes into the rest. It rises with the code."""
    dropped = max(code - 100, 0) // 900
    number: int = (code - 900 * dropped) * 10**dropped
    return number


def counted(codes: Mapping[int, int]) -> Counter[int]:
    """Microseconds -> count, of code -> count."""
    return Counter({microseconds(code): count for code, count in codes.items()})
