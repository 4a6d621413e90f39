"""Everything that gates look at, indexed so that a thousand upgrades cost a thousand times one. Knows no gate.

A loss excuses nobody, with two exceptions (`Loss.excused`): a busy machine lets requests time out, whatever the
sidecar does. So a request that merely timed out, or was in flight at the end, while its load generator was
saturated or never stopped in order, is counted and shown, but makes its class inconclusive, not failed.
And a connection that the Service's address refused while back-off left it without pods is the kubelet's
(`Loss.of_kubelet`).
Refused and reset connections elsewhere, wrong statuses, corrupted and duplicated requests are failures always: no load
makes a sound sidecar do that. What the scenario itself brings about, it allows (`Loss.allowed`).
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, groupby

from harness.record.columns import counted
from harness.record.ledger import SERVICE, Client, Connection, LoadLedger, Saturation
from harness.record.report import Traffic
from harness.record.series import SLOT_S, SLOTS_A_SECOND, Series
from harness.record.upgrade import PhaseName, Upgrade
from harness.verdict.phases import Phases, Place
from harness.verdict.reconcile import Failed, Reconciled
from harness.verdict.requirements import Requirements

MAX_LATE_FRACTION = 0.02  # above this the load was not the load that was asked for
MAX_CPU_FRACTION = 0.95  # of one core; a worker has one, and above this its latencies are its own


def saturated(saturation: Saturation) -> bool:
    """The load generator could not keep its schedule, or was about not to."""
    return saturation.late_fraction > MAX_LATE_FRACTION or saturation.cpu_fraction > MAX_CPU_FRACTION


def pods_of(client: Client) -> tuple[str, ...]:
    """Whom its requests need: the pod that executes them, and the one that they go through, if any."""
    return (client.pod, client.via) if client.via not in (None, client.pod) else (client.pod,)


@dataclass(frozen=True)
class Loss:
    """A failed request, the phase that it is put into, and what else was going on.

    `without_endpoints`: back-off left a Service without pods meanwhile. `allowed`: why the scenario allows it.
    `in_doubt`: its phase may as well be the one beside it.
    """

    request: Failed
    place: Place
    without_endpoints: bool = False
    in_doubt: bool = False
    allowed: str | None = None

    @property
    def of_kubelet(self) -> bool:
        """The Service refused it for want of pods, which were in back-off.

        Such a pod is not Ready and leaves the endpoints, and no sidecar can help it. A connection that was accepted
        has come to a sidecar: what goes wrong on it is never the kubelet's.
        """
        request = self.request
        refused = request.fate == "lost" and request.seen == "refused"
        return self.without_endpoints and refused and request.client.pod == SERVICE

    @property
    def excused(self) -> bool:
        """The machine may be to blame, or the kubelet is: see the module."""
        request = self.request
        if self.of_kubelet:
            return True
        undecided = request.fate in ("lost", "executed_unanswered") and (
            request.in_flight or request.seen == "timeout"
        )
        return undecided and (saturated(request.worker.saturation) or request.worker.stopped is None)

    @property
    def counts(self) -> bool:
        """It fails its class."""
        return self.allowed is None and not self.excused


class Pace:
    """When the requests of one class were sent and ended, over all pods."""

    def __init__(self, series: Sequence[Series]) -> None:
        self._series = [(one, _sums(one.sent), _sums(one.ended)) for one in series]

    def between(self, start: float, end: float | None) -> int:
        """Requests surely sent or in flight between two moments: slots that straddle one count for nothing.

        In flight are those sent up to the end of the slot that holds `start` and not ended by then.
        """
        total = 0
        for one, sent, ended in self._series:
            first = one.after(start)
            last = one.length if end is None else one.after(end - SLOT_S)
            total += sent[max(first, last)] - ended[first]
        return total


def _sums(column: Sequence[int]) -> array[int]:
    """What comes before each slot, and in all."""
    return array("Q", accumulate(column, initial=0))


class Lives:
    """The long-lived connections of one class at one pod."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        ordered = sorted(connections, key=lambda connection: connection.opened)
        never, forever = float("-inf"), float("inf")
        ends = (forever if one.ended is None else one.ended for one in ordered)
        tellings = (never if one.told_at is None else one.told_at for one in ordered)
        self._opened = [connection.opened for connection in ordered]
        self._last_end = [never, *accumulate(ends, max)]
        self._last_told = [never, *accumulate(tellings, max)]

    def last_end(self, opened: float) -> float:
        """When the last of those ended that were open at a moment or had been before; never: infinity."""
        return self._last_end[bisect_right(self._opened, opened)]

    def last_told(self, opened: float) -> float:
        """When the last of those was told to close."""
        return self._last_told[bisect_right(self._opened, opened)]


class _SlotPhases(dict[int, PhaseName]):
    """The phases of slots by their numbers, told once for all classes that take the same route."""

    def __init__(self, phases: Phases, route: tuple[str, ...], ahead_s: float) -> None:
        super().__init__()
        self._phases, self._route, self._ahead_s = phases, route, ahead_s

    def __missing__(self, number: int) -> PhaseName:
        middle = (number + 0.5) / SLOTS_A_SECOND - self._ahead_s
        phase = self[number] = self._phases.of_any(middle, self._route).phase
        return phase


@dataclass(frozen=True)
class Evidence:
    """Everything that gates look at. `locust_requests` is Locust's own total, where there is one.

    `allowed_closes` counts for each class the connections that the scenario allows to be closed.
    """

    upgrades: Sequence[Upgrade]
    loads: Sequence[LoadLedger]
    reconciled: Reconciled
    losses: Sequence[Loss]
    requirements: Requirements
    phases: Phases
    allowed_closes: Mapping[str, int]
    locust_requests: int | None = None

    @property
    def series(self) -> list[Series]:
        """Those of all workers."""
        return [one for load in self.loads for one in load.series]

    @cached_property
    def pace(self) -> dict[str, Pace]:
        """For each class."""
        series: dict[str, list[Series]] = {}
        for one in self.series:
            series.setdefault(one.traffic_class, []).append(one)
        return {name: Pace(of_class) for name, of_class in series.items()}

    @cached_property
    def routes(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """For each class and executing pod: all pods that its requests need."""
        routes: dict[tuple[str, str], dict[str, None]] = {}
        for client in (client for load in self.loads for client in load.clients):
            pods = dict.fromkeys(pods_of(client))
            routes.setdefault((client.traffic_class, client.pod), {}).update(pods)
        return {key: tuple(pods) for key, pods in routes.items()}

    def route(self, series: Series) -> tuple[str, ...]:
        """All pods that its requests need."""
        return self.routes.get((series.traffic_class, series.pod), (series.pod,))

    @cached_property
    def direct(self) -> dict[str, list[Series]]:
        """For each pod: the series of those whose requests need no other pod."""
        found: dict[str, list[Series]] = {}
        for one in self.series:
            if one.pod != SERVICE and len(self.route(one)) == 1:
                found.setdefault(one.pod, []).append(one)
        return found

    def by_phase(self, series: Series, slots: range) -> Iterator[tuple[PhaseName, range]]:
        """Some slots of a series by the phases that their middles lie in: stretch after stretch."""
        key = self.route(series), series.ahead_s
        if key not in self._slot_phases:
            self._slot_phases[key] = _SlotPhases(self.phases, *key)
        start = slots.start
        numbers = range(series.first + slots.start, series.first + slots.stop)
        for phase, together in groupby(numbers, self._slot_phases[key].__getitem__):
            end = start + len(list(together))
            yield phase, range(start, end)
            start = end

    @cached_property
    def _slot_phases(self) -> dict[tuple[tuple[str, ...], float], _SlotPhases]:
        """For each route and clock."""
        return {}

    @cached_property
    def latencies(self) -> dict[tuple[str, str, PhaseName], Counter[int]]:
        """For each class, pod and phase, by the middle of the slot in which requests were sent: their latencies."""
        found: dict[tuple[str, str, PhaseName], Counter[int]] = {}
        for one in self.series:
            for phase, slots in self.by_phase(one, range(one.length)):
                if codes := one.latencies_of(slots):
                    found.setdefault((one.traffic_class, one.pod, phase), Counter()).update(codes)
        return {key: counted(codes) for key, codes in found.items()}

    @cached_property
    def lives(self) -> dict[tuple[str, str], Lives]:
        """For each class and pod, also one that connections only lead through."""
        pods = {client.name: pods_of(client) for load in self.loads for client in load.clients}
        found: dict[tuple[str, str], list[Connection]] = {}
        for connection in (connection for load in self.loads for connection in load.connections):
            for pod in pods.get(connection.client, (connection.pod,)):
                found.setdefault((connection.traffic_class, pod), []).append(connection)
        return {key: Lives(connections) for key, connections in found.items()}

    @cached_property
    def sent(self) -> int:
        """Requests in all."""
        return sum(traffic.sent for traffic in self.reconciled.classes.values())

    def traffic(self, traffic_class: str) -> Traffic:
        """The counts of a class."""
        return self.reconciled.classes.get(traffic_class, Traffic())

    def closed(self, traffic_class: str) -> int:
        """Connections of a class that were closed without a word, and that nothing allows to be."""
        return self.traffic(traffic_class).closed_connections - self.allowed_closes.get(traffic_class, 0)

    @property
    def saturated(self) -> bool:
        """A load generator could not keep up."""
        return any(saturated(load.saturation) for load in self.loads)
