"""What the pod's environment tells the load generator.

TARGETS         pod=host:port,…       the sidecars, one per pod
SERVICE         host:port             the Service in front of them; none when empty
CLASSES         name,…                traffic classes; all that have somewhere to go when empty
VERSION_HEADER  name                  header in which the sidecar names its version; none when empty
PACE            number                how many times faster than usual the paced classes send
SHAPE           shape                 how their rate goes over time (shapes.py); constant when empty
LEDGER_PORT     number                where a worker serves its ledger
CLIENTS         name=count/seconds,…  clients of a class, and between two requests of one, other than usual
LONG_STREAM_S   seconds               how long a stream of the class long-stream lasts
LOAD_SPEC       JSON                  requests of the user's own (spec.py); the classes' own when empty
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from loadtests import shapes
from loadtests.classes import CLASSES, TrafficClass, long_stream
from loadtests.client import Address
from loadtests.shapes import CONSTANT, Shape
from loadtests.spec import composer

MAX_LONG_STREAM_S = 3600
SERVICE = "service"  # stands in the ledger where a pod would: which pod will answer nobody knows


@dataclass(frozen=True)
class Settings:
    """The environment, read."""

    targets: Sequence[Address]
    classes: Sequence[TrafficClass]
    version_header: str
    pace: float
    ledger_port: int
    service: Address | None = None
    shape: Shape = CONSTANT

    def addresses(self, traffic: TrafficClass) -> Sequence[Address]:
        """Where the clients of a class go; from one pod its requests may go on to the next, in a ring."""
        if traffic.relayed:
            following = [*self.targets[1:], self.targets[0]]
            return [
                replace(target, beyond=beyond) for target, beyond in zip(self.targets, following, strict=True)
            ]
        return [self.service] if traffic.service and self.service else self.targets

    def clients(self, traffic: TrafficClass) -> int:
        """Clients of a class over all its addresses: the same number for each, so that each is treated alike."""
        count = len(self.addresses(traffic))
        return -(-traffic.clients // count) * count

    def interval_s(self, traffic: TrafficClass) -> float:
        """Between the requests of one client; rounding up the clients does not raise the rate."""
        if not traffic.paced:
            return traffic.interval_s
        return traffic.interval_s * self.clients(traffic) / traffic.clients / self.pace

    def shape_of(self, traffic: TrafficClass) -> Shape:
        """How the rate of a class goes over time."""
        return self.shape if traffic.paced else CONSTANT


def read(environment: Mapping[str, str]) -> Settings:
    """Settings from environment variables; ValueError says which one is wrong."""
    service = environment.get("SERVICE", "")
    known = [name for name, traffic in CLASSES.items() if service or not traffic.service]
    names = [name for name in environment.get("CLASSES", "").split(",") if name] or known
    unknown = [name for name in names if name not in CLASSES]
    if unknown:
        raise ValueError(f"CLASSES: {unknown[0]!r} is none of {', '.join(CLASSES)}")
    if not service and any(CLASSES[name].service for name in names):
        raise ValueError("SERVICE: host:port expected, a class goes there")
    pace = float(environment.get("PACE", "1"))
    if pace <= 0:
        raise ValueError(f"PACE: more than 0, not {pace:g}")
    return Settings(
        targets=[_address(item) for item in environment.get("TARGETS", "").split(",")],
        classes=[_class(name, environment) for name in names],
        version_header=environment.get("VERSION_HEADER", ""),
        pace=pace,
        ledger_port=int(environment.get("LEDGER_PORT", "8090")),
        service=_address(f"{SERVICE}={service}") if service else None,
        shape=_shape(environment.get("SHAPE") or "constant"),
    )


def _class(name: str, environment: Mapping[str, str]) -> TrafficClass:
    traffic, spec = CLASSES[name], environment.get("LOAD_SPEC", "")
    seconds = environment.get("LONG_STREAM_S", "")
    if seconds and name == "long-stream":
        traffic = _long_stream(seconds)
    for item in filter(None, environment.get("CLIENTS", "").split(",")):
        of_class, count, interval_s = _clients(item)
        if of_class == name:
            traffic = replace(traffic, clients=count, interval_s=interval_s)
    return replace(traffic, compose=composer(spec, reuses=traffic.reuses)) if spec else traffic


def _clients(item: str) -> tuple[str, int, float]:
    name, _, numbers = item.partition("=")
    count, _, seconds = numbers.partition("/")
    if name not in CLASSES or not count.isdigit() or not seconds.replace(".", "", 1).isdigit():
        raise ValueError(f"CLIENTS: name=count/seconds expected, not {item!r}")
    return name, int(count), float(seconds)


def _long_stream(text: str) -> TrafficClass:
    seconds = float(text)
    if not 0 < seconds <= MAX_LONG_STREAM_S:
        raise ValueError(f"LONG_STREAM_S: more than 0 and at most {MAX_LONG_STREAM_S}, not {text}")
    return long_stream(seconds)


def _shape(text: str) -> Shape:
    try:
        return shapes.read(text)
    except ValueError as error:
        raise ValueError(f"SHAPE: {error}") from None


def _address(item: str) -> Address:
    pod, _, where = item.partition("=")
    host, _, port = where.rpartition(":")
    if not pod or not host or not port.isdigit():
        raise ValueError(f"TARGETS: pod=host:port expected, not {item!r}")
    return Address(pod, host.strip("[]"), int(port))
