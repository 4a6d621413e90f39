"""The controllers of the embedded cluster, clients of the API in process.

deployment.py      ReplicaSets for Deployments; rollout.py the arithmetic, progress.py the status
replicaset.py      pods for ReplicaSets
scheduler.py       the one node for every pod
serviceaccount.py  what every namespace begins with
namespace.py       the end of a namespace's content
garbage.py         the end of what an owner leaves behind
expiry.py          the end of old events
queue.py           what they run on; ownership.py how objects belong to each other
"""

from __future__ import annotations

import asyncio
import sys
import traceback

from harness.embedded.controllers import (
    deployment,
    expiry,
    garbage,
    namespace,
    replicaset,
    scheduler,
    serviceaccount,
)
from harness.embedded.seams import Api


async def run_controllers(api: Api, *, node: str = "embedded", ca: str) -> None:
    """Runs all controllers until cancelled. None is restarted: an error in one is told on stderr and ends
    them all.

    `node` is where every pod goes; `ca` is what `kube-root-ca.crt` holds in every namespace.
    """
    try:
        async with asyncio.TaskGroup() as group:
            for work in (
                deployment.run(api),
                replicaset.run(api),
                scheduler.run(api, node),
                serviceaccount.run(api, ca),
                namespace.run(api),
                garbage.run(api),
                expiry.run(api),
            ):
                group.create_task(work)
    except Exception:
        traceback.print_exc(file=sys.stderr)
        raise
