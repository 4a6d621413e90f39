"""How a starting process comes to serve: binds, takes over, or waits in silence. Knows nothing of drains.

Environment is no proof of a living predecessor, and a file is none either: the processes that share the
directory are asked, and where nobody serves the addresses are bound. An address in use means that somebody is
just coming or going, so both are tried again until the time is up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sidecar.config import Config
from sidecar.errors import LocalHandoverError
from sidecar.handover import directory, frames
from sidecar.handover.control import wait_while_serving
from sidecar.handover.machine import State
from sidecar.handover.successor import SuccessorSide
from sidecar.listeners import Listeners
from sidecar.role import Role

AGAIN_S = 0.05  # between two attempts
Ask = Callable[[str], Awaitable[SuccessorSide | None]]


async def arrive(role: Role, config: Config, listeners: Listeners, ask: Ask) -> None:
    """Returns when this process has its listeners; LocalHandoverError when it cannot."""
    if role is Role.SILENT:
        await _silent(config, listeners)
    else:
        await _soon(role, config, listeners, ask)


async def _soon(role: Role, config: Config, listeners: Listeners, ask: Ask) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + config.handover_timeout_s
    while True:
        refusal = ""
        if role is Role.SUCCESSOR:
            for path in directory.others(config.directory, config.generation, first=str(config.alt)):
                side = await ask(path)
                if side is None:
                    continue  # nobody lives there
                if side.machine.state is State.REFUSED and side.reason == frames.NOT_SERVING:
                    continue
                if side.machine.state is State.ORPHANED:
                    listeners.adopt(side.received)
                elif side.machine.state not in (State.FAILED, State.REFUSED):
                    return
                refusal = side.reason
        try:
            listeners.bind_missing()
        except LocalHandoverError as error:
            if loop.time() >= deadline:
                raise LocalHandoverError(refusal or str(error)) from error
        else:
            return
        await asyncio.sleep(AGAIN_S)


async def _silent(config: Config, listeners: Listeners) -> None:
    """A predecessor that restarted: somebody else serves, or this process does."""
    while True:
        paths = directory.others(config.directory, config.generation, first=str(config.alt))
        served = False
        for path in paths:
            served = await wait_while_serving(path) or served
        if not served:
            try:
                listeners.bind_missing()
            except LocalHandoverError:
                pass
            else:
                return
        await asyncio.sleep(AGAIN_S)
