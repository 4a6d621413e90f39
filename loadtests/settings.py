"""What the pod's environment tells the load generator.

TARGETS         pod=host:port,…       the sidecars, one per pod
CLASSES         name,…                traffic classes; all when empty
VERSION_HEADER  name                  header in which the sidecar names its version; none when empty
PACE            number                how many times faster than usual the paced classes send
LEDGER_PORT     number                where a worker serves its ledger
LOAD_SPEC       JSON                  requests of the user's own (spec.py); the classes' own when empty
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from loadtests.classes import CLASSES, TrafficClass
from loadtests.client import Address
from loadtests.spec import composer


@dataclass(frozen=True)
class Settings:
    """The environment, read."""

    targets: Sequence[Address]
    classes: Sequence[TrafficClass]
    version_header: str
    pace: float
    ledger_port: int

    def clients(self, traffic: TrafficClass) -> int:
        """Clients of a class over all pods: the same number for each pod, so that each is treated alike."""
        return -(-traffic.clients // len(self.targets)) * len(self.targets)

    def interval_s(self, traffic: TrafficClass) -> float:
        """Between the requests of one client; rounding up the clients does not raise the rate."""
        if not traffic.paced:
            return traffic.interval_s
        return traffic.interval_s * self.clients(traffic) / traffic.clients / self.pace


def read(environment: Mapping[str, str]) -> Settings:
    """Settings from environment variables; ValueError says which one is wrong."""
    names = [name for name in environment.get("CLASSES", "").split(",") if name] or list(CLASSES)
    unknown = [name for name in names if name not in CLASSES]
    if unknown:
        raise ValueError(f"CLASSES: {unknown[0]!r} is none of {', '.join(CLASSES)}")
    pace = float(environment.get("PACE", "1"))
    if pace <= 0:
        raise ValueError(f"PACE: more than 0, not {pace:g}")
    return Settings(
        targets=[_address(item) for item in environment.get("TARGETS", "").split(",")],
        classes=[_class(name, environment.get("LOAD_SPEC", "")) for name in names],
        version_header=environment.get("VERSION_HEADER", ""),
        pace=pace,
        ledger_port=int(environment.get("LEDGER_PORT", "8090")),
    )


def _class(name: str, spec: str) -> TrafficClass:
    traffic = CLASSES[name]
    return replace(traffic, compose=composer(spec, reuses=traffic.reuses)) if spec else traffic


def _address(item: str) -> Address:
    pod, _, where = item.partition("=")
    host, _, port = where.rpartition(":")
    if not pod or not host or not port.isdigit():
        raise ValueError(f"TARGETS: pod=host:port expected, not {item!r}")
    return Address(pod, host.strip("[]"), int(port))
