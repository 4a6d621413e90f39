"""What each step of a ramp came to, and where its knee is. Pure; knows nothing of how ledgers are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from harness.loadtest.plan import STEP_S
from harness.record.classes import LASTING
from harness.record.columns import counted
from harness.record.ledger import Effort, LoadLedger
from harness.record.loadtest import Knee, Limits, RampStep
from harness.record.series import Series
from harness.verdict.latency import summary

SETTLING_S = 1.0  # of each step: connections are opened, and what the step before left behind comes to an end
SEEN = 0.7  # of the rest a worker has to have told of; a ramp that was ended early has no last step
ENDED = 0.95  # of a step's requests; where more never ended, its percentiles would be those of the lucky ones


def steps(loads: Sequence[LoadLedger], factors: Sequence[float], limits: Limits) -> list[RampStep]:
    """Those that were played to their end; each worker's begin when it does."""
    found = []
    for number, factor in enumerate(factors):
        step = _step(loads, factor, number * STEP_S + SETTLING_S, (number + 1) * STEP_S, limits)
        if step is None:
            break
        found.append(step)
    return found


def knee(ramp: Sequence[RampStep], limits: Limits) -> Knee | None:
    """The highest step that kept up; a lower one that did not was the machine's noise. None: not even one did."""
    kept = [number for number, step in enumerate(ramp) if not step.lacks]
    if not kept:
        return None
    best, beyond = ramp[kept[-1]], ramp[kept[-1] + 1 :]
    assert best.latency is not None, "a step without an answer keeps up with nothing"
    of_ramp = not beyond
    of_generator = bool(beyond) and _saturated(beyond[0], limits)
    return Knee(
        factor=best.factor,
        rate=best.reached,
        p99_ms=best.latency.p99,
        limit="ramp" if of_ramp else "load generator" if of_generator else "sidecar",
        at_least=of_ramp or of_generator,
        why="the ramp ended" if of_ramp else "; ".join(beyond[0].lacks),
    )


def _step(
    loads: Sequence[LoadLedger], factor: float, start: float, end: float, limits: Limits
) -> RampStep | None:
    """From `start` to `end`, seconds of each worker's own test; None if one of them did not get so far."""
    efforts = [list(_efforts(load, start, end)) for load in loads]
    if not loads or any(sum(one.seconds for one in told) < SEEN * (end - start) for told in efforts):
        return None
    parts = [part for load in loads for part in _parts(load, start, end)]
    codes: Counter[int] = Counter()
    for one, slots in parts:
        if one.traffic_class not in LASTING:
            codes.update(one.latencies_of(slots))
    asked = sum(_rate(told, "asked") for told in efforts)
    failed = sum(sum(one.failed[slots.start : slots.stop]) for one, slots in parts)
    ended = failed + sum(sum(one.answered[slots.start : slots.stop]) for one, slots in parts)
    known = bool(codes) and ended >= ENDED * asked * (end - start)
    step = RampStep(
        factor=factor,
        asked=asked,
        reached=sum(_rate(told, "reached") for told in efforts),
        failed=failed,
        latency=summary(counted(codes)) if known else None,
        late=max(
            sum(one.late for one in told) / max(sum(one.reached for one in told), 1) for told in efforts
        ),
        busy=max(sum(one.busy * one.seconds for one in told) / _seconds(told) for told in efforts),
        lacks=[],
    )
    return step.model_copy(update={"lacks": list(_lacks(step, limits))})


def _lacks(step: RampStep, limits: Limits) -> Iterator[str]:
    if step.reached < limits.reached * step.asked:
        yield f"{step.reached:,.0f} of {step.asked:,.0f} requests a second were reached"
    if step.latency is None:
        yield "many never came to an end"
    elif step.latency.p99 > limits.p99_ms:
        yield f"p99 {step.latency.p99:,.0f} ms"
    if step.failed:
        yield f"{step.failed:,} failed"
    if step.late > limits.late:
        yield f"the load generator sent {step.late:.1%} late"
    if step.busy > limits.busy:
        yield f"the load generator was busy for {step.busy:.0%} of the time"


def _saturated(step: RampStep, limits: Limits) -> bool:
    return step.late > limits.late or step.busy > limits.busy


def _efforts(load: LoadLedger, start: float, end: float) -> Iterator[Effort]:
    """Those whose middle lies in a stretch."""
    for one in load.efforts:
        if start <= one.at + one.seconds / 2 - load.started < end:
            yield one


def _parts(load: LoadLedger, start: float, end: float) -> Iterator[tuple[Series, range]]:
    """The slots of each series that start in a stretch."""
    for one in load.series:
        yield one, range(one.since(load.started + start), one.since(load.started + end))


def _rate(told: Sequence[Effort], field: str) -> float:
    total: int = sum(getattr(one, field) for one in told)
    return total / _seconds(told)


def _seconds(told: Sequence[Effort]) -> float:
    return sum(one.seconds for one in told)
