"""How often each of many values came: a mapping that takes eight bytes a value. Knows nothing of what is counted.

Half an hour of traffic is hundreds of thousands of slots with a few dozen latencies each; as dictionaries they
would take a gigabyte.
"""

from __future__ import annotations

from array import array
from collections.abc import ItemsView, Iterator, Mapping
from itertools import chain
from typing import Annotated

from pydantic import Field, GetPydanticSchema
from pydantic_core import core_schema

Packable = Annotated[int, Field(ge=0, lt=2**32)]  # in microseconds more than an hour


class Counts(Mapping[int, int]):
    """Value -> count, both Packable; never changed once it is made."""

    __slots__ = ("_packed",)

    def __init__(self, counts: Mapping[int, int]) -> None:
        self._packed = array("I", chain.from_iterable(counts.items()))

    def __getitem__(self, value: int) -> int:
        for known, count in self.items():
            if known == value:
                return count
        raise KeyError(value)

    def __iter__(self) -> Iterator[int]:
        return iter(self._packed[::2])

    def __len__(self) -> int:
        return len(self._packed) // 2

    def items(self) -> ItemsView[int, int]:
        """Pairs of value and count, without a search for each."""
        return _Pairs(self, self._packed)

    def __repr__(self) -> str:
        return f"Counts({dict(self)})"


class _Pairs(ItemsView[int, int]):
    __slots__ = ("_packed",)

    def __init__(self, counts: Counts, packed: array[int]) -> None:
        super().__init__(counts)
        self._packed = packed

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._packed[::2], self._packed[1::2], strict=True)


Counted = Annotated[
    Mapping[int, int],
    GetPydanticSchema(
        lambda _, handler: core_schema.no_info_after_validator_function(
            Counts,
            handler(dict[Packable, Packable]),
            serialization=core_schema.plain_serializer_function_ser_schema(dict),
        )
    ),
]
"""The type of a record's field that holds them: any mapping, kept packed once it was read."""
