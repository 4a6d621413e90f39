"""Puts a fault in the place of one thing of the reference sidecar. Knows no fault.

A mutant's image brings one module, `fault`, whose replacements hold from its import on. They have to name what
the sidecar looks up when it runs: an attribute of a class or of a module, no function that a table holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Original = Callable[..., Any]
_Function = TypeVar("_Function", bound=Callable[..., Any])


def replaces(owner: object, name: str) -> Callable[[_Function], _Function]:
    """The decorated function takes the place of `owner.name`, which it gets as its first argument."""
    original: Original = getattr(owner, name)

    def decorate(function: _Function) -> _Function:
        def replacement(*given: Any, **named: Any) -> Any:
            return function(original, *given, **named)

        setattr(owner, name, replacement)
        return function

    return decorate
