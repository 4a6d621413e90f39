"""How a starting process comes to serve: binds, takes over, or waits in silence. Knows nothing of drains.

Environment is no proof of a living predecessor, and a file is none either: the processes that share the
directory are asked, and where nobody serves the addresses are bound. An address in use means that somebody is
just coming or going, so both are tried again until the time is up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sidecar.config import Config
from sidecar.errors import HandoverError, LocalHandoverError
from sidecar.handover import directory, frames, sample
from sidecar.handover.control import wait_while_serving
from sidecar.handover.machine import State
from sidecar.handover.successor import SuccessorSide
from sidecar.listeners import Listeners
from sidecar.role import Role

AGAIN_S = 0.05  # between two attempts
Ask = Callable[[str], Awaitable[SuccessorSide | None]]
Report = Callable[..., None]  # one log line


async def arrive(role: Role, config: Config, listeners: Listeners, ask: Ask, log: Report) -> bool:
    """Returns when this process has its listeners; LocalHandoverError when it cannot.

    True: they come from a predecessor that will not say when it has finished what it serves.
    """
    if role is Role.SILENT:
        await _silent(config, listeners)
        return False
    return await _soon(role, config, listeners, ask, log)


async def _soon(role: Role, config: Config, listeners: Listeners, ask: Ask, log: Report) -> bool:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + config.handover_timeout_s
    # Once: who refuses is not the sample, and asking costs it a request each time.
    ask_sample = role is Role.SUCCESSOR and config.sample_socket is not None
    inherited, sample_refusal = False, ""
    while True:
        refusal = ""
        if role is Role.SUCCESSOR:
            taken_over, refusal = await _take_over(config, listeners, ask)
            if taken_over:
                return False
        if ask_sample and not refusal:
            try:
                inherited = await _inherit(config, listeners, log)
                ask_sample = not inherited
            except HandoverError as error:
                ask_sample, sample_refusal = False, str(error)
                log("handover_aborted", reason=sample_refusal)
        try:
            listeners.bind_missing()
        except LocalHandoverError as error:
            if loop.time() >= deadline:
                raise LocalHandoverError(refusal or sample_refusal or str(error)) from error
        else:
            return inherited
        await asyncio.sleep(AGAIN_S)


async def _take_over(config: Config, listeners: Listeners, ask: Ask) -> tuple[bool, str]:
    """Asks every process that lives: whether one has handed over, and else why the last one did not."""
    refusal = ""
    for path in directory.others(config.directory, config.generation, first=str(config.alt)):
        side = await ask(path)
        if side is None:
            continue  # nobody lives there
        if side.machine.state is State.REFUSED and side.reason == frames.NOT_SERVING:
            continue
        if side.machine.state is State.ORPHANED:
            listeners.adopt(side.received)
        elif side.machine.state not in (State.FAILED, State.REFUSED):
            return True, ""
        refusal = side.reason
    return False, refusal


async def _inherit(config: Config, listeners: Listeners, log: Report) -> bool:
    """Whether a container of the sample gave its listener away; HandoverError says why it did not."""
    received = await sample.take(config)
    if received is None:
        return False
    address = sample.listener(config).address
    listeners.adopt({address: received})
    log("listener_received", listeners=[str(address)])
    return True


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
