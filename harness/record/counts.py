"""How often each of many values came: a mapping that takes four bytes for each time. Knows nothing of what is counted.

Half an hour of traffic is hundreds of thousands of slots with a few dozen latencies each; as dictionaries they
would take a gigabyte, and it would take long to add them up.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import ItemsView, Iterator, Mapping
from itertools import chain, repeat, starmap
from typing import Annotated

from pydantic import Field, GetPydanticSchema
from pydantic_core import core_schema

Value = Annotated[int, Field(ge=0, lt=2**32)]  # in microseconds more than an hour
Count = Annotated[int, Field(ge=0, le=1_000_000)]


class Counts(Mapping[int, int]):
    """Value -> count; never changed once it is made. `each` has every value as often as it came."""

    __slots__ = ("each",)

    def __init__(self, counts: Mapping[int, int]) -> None:
        self.each = array("I", chain.from_iterable(starmap(repeat, counts.items())))

    def __getitem__(self, value: int) -> int:
        count = self.each.count(value)
        if not count:
            raise KeyError(value)
        return count

    def __iter__(self) -> Iterator[int]:
        return iter(dict.fromkeys(self.each))

    def __len__(self) -> int:
        return len(set(self.each))

    def items(self) -> ItemsView[int, int]:
        """Pairs of value and count."""
        return Counter(self.each).items()

    def __repr__(self) -> str:
        return f"Counts({dict(self)})"


def each(counts: Mapping[int, int]) -> array[int]:
    """Every value as often as it came."""
    return (counts if isinstance(counts, Counts) else Counts(counts)).each


Counted = Annotated[
    Mapping[int, int],
    GetPydanticSchema(
        lambda _, handler: core_schema.no_info_after_validator_function(
            Counts,
            handler(dict[Value, Count]),
            serialization=core_schema.plain_serializer_function_ser_schema(dict),
        )
    ),
]
"""The type of a record's field that holds them: any mapping, kept packed once it was read."""
