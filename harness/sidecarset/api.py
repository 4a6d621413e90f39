"""A SidecarSet as the rest of the package sees it: a read-only view of a v1beta1 object.

Knows nothing of pods, defaults or the API server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from harness.sidecarset import hashing
from harness.sidecarset.names import (
    BEFORE_APP,
    CANARY,
    CANARY_BASE,
    HOT_UPGRADE,
    NAMESPACE_NAME_LABEL,
    NOT_UPDATE,
    Object,
)


@dataclass(frozen=True)
class Sidecar:
    """One container of a SidecarSet."""

    raw: Object

    @property
    def name(self) -> str:
        """Its logical name."""
        return str(self.raw.get("name", ""))

    @property
    def image(self) -> str:
        """The image that works."""
        return str(self.raw.get("image", ""))

    @property
    def upgrade(self) -> Object:
        """Its upgradeStrategy."""
        return self.raw.get("upgradeStrategy") or {}

    @property
    def hot(self) -> bool:
        """Whether it becomes a pair; any other upgradeType is cold."""
        return self.upgrade.get("upgradeType") == HOT_UPGRADE

    @property
    def empty_image(self) -> str:
        """The image of the pair's idle half."""
        return str(self.upgrade.get("hotUpgradeEmptyImage") or "")

    @property
    def native(self) -> bool:
        """Whether it is an initContainer that keeps running."""
        return self.raw.get("restartPolicy") == "Always"

    @property
    def names_in_pod(self) -> tuple[str, ...]:
        """The containers that it becomes."""
        return (f"{self.name}-1", f"{self.name}-2") if self.hot else (self.name,)

    def before_app(self, default: str) -> bool:
        """Whether it goes before the application's containers."""
        return (self.raw.get("podInjectPolicy") or default) == BEFORE_APP


@dataclass(frozen=True)
class SidecarSet:
    """A SidecarSet in its storage version."""

    raw: Object

    @property
    def metadata(self) -> Object:
        """Its metadata."""
        return self.raw.get("metadata") or {}

    @property
    def spec(self) -> Object:
        """Its spec."""
        return self.raw.get("spec") or {}

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.metadata.get("name", ""))

    @property
    def uid(self) -> str:
        """Its uid."""
        return str(self.metadata.get("uid", ""))

    @property
    def generation(self) -> int:
        """The generation of its spec."""
        return int(self.metadata.get("generation") or 0)

    @property
    def resource_version(self) -> str:
        """Its resourceVersion, which becomes the version of the containers upgraded from it."""
        return str(self.metadata.get("resourceVersion", ""))

    @property
    def labels(self) -> Mapping[str, str]:
        """Its own labels."""
        return self.metadata.get("labels") or {}

    @cached_property
    def containers(self) -> tuple[Sidecar, ...]:
        """Its containers."""
        return tuple(Sidecar(each) for each in self.spec.get("containers") or [])

    @cached_property
    def init_containers(self) -> tuple[Sidecar, ...]:
        """Its initContainers."""
        return tuple(Sidecar(each) for each in self.spec.get("initContainers") or [])

    @property
    def hot_containers(self) -> tuple[Sidecar, ...]:
        """Those that become pairs."""
        return tuple(each for each in self.containers if each.hot)

    @property
    def names_in_pod(self) -> frozenset[str]:
        """Names of all its containers as they appear in a pod."""
        return frozenset(name for each in self.containers for name in each.names_in_pod)

    @property
    def selector(self) -> Object | None:
        """Which pods it is for."""
        return self.spec.get("selector")

    @property
    def namespace_selector(self) -> Object | None:
        """Whose namespaces; None means all."""
        return self.spec.get("namespaceSelector")

    @property
    def sole_namespace(self) -> str | None:
        """The one namespace that it can match in, when its selector names one."""
        name = ((self.namespace_selector or {}).get("matchLabels") or {}).get(NAMESPACE_NAME_LABEL)
        return str(name) if name else None

    @property
    def strategy(self) -> Object:
        """Its updateStrategy."""
        return self.spec.get("updateStrategy") or {}

    @property
    def not_update(self) -> bool:
        """Whether pods that exist are left alone."""
        return self.strategy.get("type") == NOT_UPDATE

    @property
    def paused(self) -> bool:
        """Whether upgrades and resets rest."""
        return bool(self.strategy.get("paused"))

    @property
    def injection(self) -> Object:
        """Its injectionStrategy."""
        return self.spec.get("injectionStrategy") or {}

    @property
    def base(self) -> str | None:
        """The set whose canary this is, if it is one."""
        notes = self.metadata.get("annotations") or {}
        return notes.get(CANARY_BASE) if notes.get(CANARY) == "true" and notes.get(CANARY_BASE) else None

    @cached_property
    def hash(self) -> str:
        """What a pod has to carry to count as updated."""
        return hashing.full(self.spec)

    @cached_property
    def hash_without_image(self) -> str:
        """What a pod has to carry so that nothing but images would change."""
        return hashing.without_image(self.spec)
