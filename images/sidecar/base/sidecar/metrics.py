"""This process in numbers, for Prometheus: computed when somebody scrapes, from what is there anyway.

Knows nothing of how it is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from sidecar.proxy.answers import REASONS
from sidecar.proxy.service import Service
from sidecar.record import BOUNDS_S, OUTCOMES, SIDES, Record

GONE = ("finished", "told", "moved", "forced")  # how connections go in a drain
Values = Mapping[tuple[str, ...], float]  # by the values of a metric's labels
COUNT, GAUGE = CounterMetricFamily, GaugeMetricFamily


class Row(NamedTuple):
    """One metric."""

    family: type[CounterMetricFamily] | type[GaugeMetricFamily]
    name: str
    help: str
    labels: tuple[str, ...]
    values: Values


class Metrics:
    """Reads one process's parts; a collector of the prometheus_client library."""

    def __init__(
        self, identity: dict[str, str], part: dict[str, str], service: Service, record: Record
    ) -> None:
        """`part` is role and phase."""
        self._identity, self._part, self._service, self._record = identity, part, service, record
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def exposition(self) -> bytes:
        """The text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Everything."""
        for rows in (self._self, self._connections, self._requests, self._drains, self._handovers):
            for row in rows():
                metric = row.family(f"sidecar_{row.name}", row.help, labels=row.labels)
                for labels, value in row.values.items():
                    metric.add_metric(labels, value)
                yield metric
        yield self._durations()

    def _self(self) -> Iterator[Row]:
        yield Row(GAUGE, "info", "Which process this is", *_one(self._identity))
        yield Row(GAUGE, "state", "The part that it plays, and how far it is", *_one(self._part))

    def _connections(self) -> Iterator[Row]:
        service, tally = self._service, self._service.tally
        present = Counter[tuple[str, ...]]({("http1", "busy"): 0, ("http1", "silent"): 0})
        for client in service.clients:
            present[client.kind, "busy" if client.silent_since is None else "silent"] += 1
        text = "Open connections from clients; busy ones have an exchange under way"
        yield Row(GAUGE, "connections", text, ("protocol", "state"), present)
        yield _bare(
            GAUGE, "connections_limit", "Connections at which accepting pauses", service.capacity.most
        )
        pauses: Values = {(what,): service.capacity.pauses[what] for what in ("limit", "descriptors")}
        yield Row(COUNT, "accept_pauses", "Pauses in accepting, by what had run out", ("reason",), pauses)
        yield _bare(COUNT, "accepted", "Connections accepted from clients", tally.accepted)
        moved: Values = {("in",): tally.moved_in, ("out",): tally.moved_out}
        yield Row(COUNT, "moved", "Connections from a predecessor, or to a successor", ("direction",), moved)

    def _requests(self) -> Iterator[Row]:
        service, tally = self._service, self._service.tally
        codes: Values = {(f"{number}xx",): service.requests[number] for number in range(1, 6)}
        yield Row(COUNT, "requests", "Requests answered, by class of status", ("code",), codes)
        errors: Values = {(reason,): tally.errors[reason] for reason in sorted(REASONS.keys() | tally.errors)}
        yield Row(COUNT, "errors", "Answers of the sidecar's own, by x-sidecar-error", ("reason",), errors)
        yield _bare(COUNT, "upstream_connects", "Connections made to the application", tally.connects)
        text = "Connections that the application did not take"
        yield _bare(COUNT, "upstream_connect_failures", text, tally.failed_connects)
        yield _bare(GAUGE, "upstream_idle", "Idle connections to the application", service.pool.idle)

    def _drains(self) -> Iterator[Row]:
        service, tally = self._service, self._service.tally
        drained = Counter(tally.drained)
        if service.drain is not None:
            drained.update(service.drain.counts)
        gone: Values = {(how,): drained[how] for how in GONE}
        yield Row(COUNT, "drained", "How connections went in drains", ("outcome",), gone)
        text = "Of the forced: those that had asked nothing in the drain"
        yield _bare(COUNT, "forced_silent", text, drained["forced_silent"])
        told = tally.told + sum(client.told for client in service.clients)
        yield _bare(COUNT, "tells", "Connections whose clients were told to close", told)

    def _handovers(self) -> Iterator[Row]:
        record = self._record
        outcomes: Values = {
            (side, outcome): record.outcomes[side, outcome] for side in SIDES for outcome in OUTCOMES
        }
        yield Row(
            COUNT, "handovers", "Hand-overs, by this process's side in them", ("side", "outcome"), outcomes
        )
        last = {(side,): record.last[side].seconds for side in SIDES if side in record.last}
        known: Values = {labels: seconds for labels, seconds in last.items() if seconds is not None}
        text = "From the request to the commit of the last hand-over"
        yield Row(GAUGE, "handover_last_seconds", text, ("side",), known)

    def _durations(self) -> Metric:
        text = "From the request to the commit of hand-overs"
        metric = HistogramMetricFamily("sidecar_handover_seconds", text, labels=["side"])
        bounds = [*(str(bound) for bound in BOUNDS_S), "+Inf"]
        for side in SIDES:
            buckets = list(zip(bounds, accumulate(self._record.buckets[side]), strict=True))
            metric.add_metric([side], buckets, self._record.seconds[side])
        return metric


def _bare(
    family: type[CounterMetricFamily] | type[GaugeMetricFamily], name: str, text: str, value: float
) -> Row:
    return Row(family, name, text, (), {(): value})


def _one(labels: dict[str, str]) -> tuple[tuple[str, ...], Values]:
    """Labels that say everything; the value is 1."""
    return tuple(labels), {tuple(labels.values()): 1}
