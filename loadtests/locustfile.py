"""The file that Locust loads, in the master and in each worker: wires users, ledger and endpoint together."""

from __future__ import annotations

import gc
import os
from time import monotonic
from typing import Any

import gevent
import locust
from locust import runners

from loadtests import endpoint, ledger, master, settings, users

# A machine that stalls for some seconds must not end the test: Locust's master stops it when the last worker
# missed three beats of a second. A worker that is really gone has lost its ledger, and that is noticed.
runners.HEARTBEAT_LIVENESS = 60
# A worker goes on without its master, which it would not by itself: the harness stops it and reads its ledger.
runners.MASTER_HEARTBEAT_TIMEOUT = 10**9

# Thousands of clients and their sockets live as long as the run: to walk through them all again and again for cycles
# holds requests up for a tenth of a second, and finds none.
gc.set_threshold(50_000, 50, 1000)

# The harness asks every 10 s. To put together more would hold up the requests that are due meanwhile.
RECENT_S = 15.0

WORKER = users.Worker(settings.read(os.environ))


def on_init(environment: Any, runner: Any, web_ui: Any, **_: Any) -> None:
    """A worker serves what it knows; the master has Locust's own web API and UI."""
    if isinstance(runner, runners.WorkerRunner):
        outlive_master(runner)
        endpoint.serve(
            WORKER.settings.ledger_port,
            {
                "/ledger": lambda: WORKER.ledger.document(),
                "/recent": lambda: WORKER.ledger.document(since=ledger.wall(monotonic()) - RECENT_S),
                "/progress": lambda: WORKER.ledger.progress(),
                "/clock": lambda: {"now": ledger.wall(monotonic())},
            },
            {"/stop": lambda: stop(runner)},
        )
    elif web_ui is not None:
        master.add_to(web_ui)


def outlive_master(runner: Any) -> None:
    """A master that ends tells its workers to end too, and they would take their ledgers with them."""
    handle = runner.handle_message

    def handle_message(message: Any) -> None:
        if message.type != "quit":
            handle(message)

    runner.handle_message = handle_message


def stop(runner: Any) -> dict[str, object]:
    """Ends this worker's users as the master's stop does, and returns at once."""
    if not WORKER.stopping():
        gevent.spawn(runner.stop)
    return WORKER.ledger.progress()


def on_test_start(environment: Any, **_: Any) -> None:
    """Before the first user."""
    if isinstance(environment.runner, runners.WorkerRunner):
        WORKER.start(environment.runner.worker_index)


def on_test_stopping(**_: Any) -> None:
    """The stop was asked for; users are still there."""
    WORKER.begin_stop()


def on_test_stop(environment: Any, **_: Any) -> None:
    """No user is left. The last numbers go to the master now: by itself Locust reports every 3 s only."""
    if isinstance(environment.runner, runners.WorkerRunner):
        WORKER.stop()
        report: dict[str, Any] = {}
        events.report_to_master.fire(client_id=environment.runner.client_id, data=report)
        environment.runner.send_message("stats", report)


events: Any = locust.events
events.init.add_listener(on_init)
events.test_start.add_listener(on_test_start)
events.test_stopping.add_listener(on_test_stopping)
events.test_stop.add_listener(on_test_stop)

# Locust looks for users, and for the shape below, among the names of this module.
USERS = [users.user_class(WORKER, traffic) for traffic in WORKER.settings.classes]
globals().update({user.__name__: user for user in USERS})


class AllAtOnce(locust.LoadTestShape):
    """Every client of every class from start to stop, so that nobody else has to know how many there are."""

    def tick(self) -> tuple[int, float]:
        """Number of users, and how many are spawned per second."""
        total = sum(user.fixed_count for user in USERS)
        return total, float(total)
