"""Which image is made from which: those that others need come first. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import TopologicalSorter

from harness.embedded.machine.images import Catalogue, Definition, familiar
from harness.embedded.machine.recipe import Copy
from harness.errors import InputError


def needs(catalogue: Catalogue, definition: Definition) -> list[Definition]:
    """The catalogue's images that this one's FROM and COPY --from name."""
    names: list[str] = []
    for stage in definition.recipe.stages:
        if isinstance(stage.base, str):
            names.append(stage.base)
        names += [
            step.origin for step in stage.steps if isinstance(step, Copy) and isinstance(step.origin, str)
        ]
    found = (catalogue.find(name) for name in dict.fromkeys(names))
    return [one for one in found if one is not None]


def ordered(catalogue: Catalogue, refs: Sequence[str]) -> list[Definition]:
    """These images and all that they need, in an order in which they can be built; InputError for an unknown one."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    pending = []
    for ref in refs:
        found = catalogue.find(ref)
        if found is None:
            raise InputError(catalogue.missing(ref))
        pending.append(found)
    known: dict[str, Definition] = {}
    while pending:
        definition = pending.pop()
        if definition.ref in known:
            continue
        known[definition.ref] = definition
        below = needs(catalogue, definition)
        sorter.add(definition.ref, *(one.ref for one in below))
        pending += below
    return [known[ref] for ref in sorter.static_order()]


def name_of(definition: Definition) -> str:
    """The reference under which it is built: the name that other Dockerfiles use."""
    return familiar(definition.ref)
