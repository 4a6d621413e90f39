"""Which resources are served: the built-in ones and those that CustomResourceDefinitions add. Knows nothing
of HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.embedded.api.refusals import unknown_path
from harness.embedded.api.resources import BUILT_IN, Kind
from harness.embedded.seams import Resource


class Registry:
    """All kinds, by their names."""

    def __init__(self) -> None:
        self._kinds = {(kind.group, kind.version, kind.plural): kind for kind in BUILT_IN}

    def find(self, group: str, version: str, plural: str) -> Kind:
        """The kind that is served there; ApiError 404."""
        kind = self._kinds.get((group, version, plural))
        if kind is None:
            root = f"/apis/{group}" if group else "/api"
            raise unknown_path(f"{root}/{version}/{plural}")
        return kind

    def kind(self, resource: Resource) -> Kind:
        """The same for a caller in this process."""
        return self.find(resource.group, resource.version, resource.plural)

    def serves_group(self, group: str, version: str) -> bool:
        """Whether any resource is served there."""
        return any(kind.group == group and kind.version == version for kind in self._kinds.values())

    def groups(self) -> dict[str, list[str]]:
        """The served versions of each group, the most stable first."""
        versions: dict[str, list[str]] = {}
        for group, version, _ in self._kinds:
            if version not in versions.setdefault(group, []):
                versions[group].append(version)
        return {group: sorted(found, key=_stability, reverse=True) for group, found in versions.items()}

    def of(self, group: str, version: str) -> Iterator[Kind]:
        """The kinds of one group and version."""
        return (kind for kind in self._kinds.values() if (kind.group, kind.version) == (group, version))

    def namespaced(self) -> list[Kind]:
        """One version of each resource that lives in namespaces."""
        return list({kind.resource: kind for kind in self._kinds.values() if kind.namespaced}.values())

    def replace(self, group: str, plural: str, kinds: Sequence[Kind]) -> None:
        """Puts these in the place of every version of a custom resource; none take it away."""
        self._kinds = {
            key: kind
            for key, kind in self._kinds.items()
            if not (kind.custom and (kind.group, kind.plural) == (group, plural))
        }
        self._kinds |= {(kind.group, kind.version, kind.plural): kind for kind in kinds}


def _stability(version: str) -> tuple[int, int, int]:
    """Order of versions as in Kubernetes: v2, v1, v1beta2, v1beta1, v1alpha1."""
    body = version.removeprefix("v")
    for rank, mark in ((0, "alpha"), (1, "beta")):
        if mark in body:
            major, _, minor = body.partition(mark)
            return rank, _number(major), _number(minor)
    return 2, _number(body), 0


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
