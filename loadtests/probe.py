"""One request of each class to each address, before the load begins: who answers, and what is spoken there.

Run in a pod of its own, `python -m loadtests.probe` writes what it found as a line of JSON. Its ids are of no
client's form, so no ledger knows of it. Knows nothing of what follows from it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from random import Random
from time import monotonic

from loadtests.classes import TrafficClass
from loadtests.client import Address, RequestFailed
from loadtests.settings import Settings, read

WITHIN_S = 2.5

Found = Mapping[str, Mapping[str, str | None]]
"""By class and pod: None where the answer was right, else `kind: detail`."""


@dataclass(frozen=True)
class _Attempt:
    traffic: TrafficClass
    address: Address

    def make(self) -> str | None:
        """What went wrong, if anything did."""
        deadline = monotonic() + WITHIN_S
        compose = self.traffic.brief or self.traffic.compose
        request = compose(self.address, f"probe.{self.traffic.name}".encode(), Random())
        try:
            with closing(self.traffic.open(self.address, deadline)) as conversation:
                _, reply = next(conversation.ask([request], deadline))
        except RequestFailed as failure:
            return str(failure)
        fault = reply if isinstance(reply, RequestFailed) else request.fault(reply)
        return f"{fault.kind}: {fault.detail}" if fault else None


def probe(settings: Settings) -> Found:
    """Tries all at once."""
    attempts = [
        _Attempt(traffic, address) for traffic in settings.classes for address in settings.addresses(traffic)
    ]
    with ThreadPoolExecutor(max_workers=len(attempts)) as threads:
        results = list(threads.map(_Attempt.make, attempts))
    found: dict[str, dict[str, str | None]] = {traffic.name: {} for traffic in settings.classes}
    for attempt, result in zip(attempts, results, strict=True):
        found[attempt.traffic.name][attempt.address.pod] = result
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(probe(read(os.environ))) + "\n")
