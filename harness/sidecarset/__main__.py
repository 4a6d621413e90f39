"""`python3 -m harness.sidecarset`: the webhook server and the controller in one process.

Serves HTTPS at the pod's address, registers itself with the API server, then watches and reconciles. Ready at
/readyz once all that is done. Configured from inside its pod, or by `--kubeconfig`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

from aiohttp import web
from kubernetes import config
from kubernetes.client import ApiClient

from harness.sidecarset import webhook
from harness.sidecarset.admit import Admitter
from harness.sidecarset.client import ApiFailure, Client, KubernetesClient
from harness.sidecarset.controller import Controller
from harness.sidecarset.log import to_stdout
from harness.sidecarset.manifests import PORT
from harness.sidecarset.names import MANAGER_NAMESPACE
from harness.sidecarset.reconciler import Reconciler
from harness.sidecarset.registration import register

REGISTER_AGAIN_S = 0.2
"""Pause between attempts to register while the API server is not there yet."""
SHUTDOWN_S = 0.5
"""For answers under way; the pod's grace period is one second."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until SIGTERM or SIGINT."""
    options = _parser().parse_args(arguments)
    try:
        api = _connected(options.kubeconfig)
    except (config.ConfigException, OSError) as error:
        sys.stderr.write(
            f"cannot reach the API server: {error}\nRun it in a pod, or give --kubeconfig FILE.\n"
        )
        return 2
    asyncio.run(_serve(KubernetesClient(api), options.address, options.port))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m harness.sidecarset", description="The reference SidecarSet webhook and controller."
    )
    parser.add_argument(
        "--kubeconfig", metavar="FILE", help="configuration of the API client; default: the pod's own"
    )
    parser.add_argument(
        "--address",
        default=os.environ.get("POD_IP") or "127.0.0.1",
        help="address at which the API server reaches this process; default: $POD_IP, else 127.0.0.1",
    )
    parser.add_argument("--port", type=int, default=PORT, help="default: %(default)s")
    return parser


def _connected(kubeconfig: str | None) -> ApiClient:
    if kubeconfig:
        return cast(ApiClient, config.new_client_from_config(kubeconfig))  # type: ignore[no-untyped-call]
    config.load_incluster_config()  # type: ignore[no-untyped-call]
    return ApiClient()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _serve(client: Client, address: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    namespace = os.environ.get("POD_NAMESPACE") or MANAGER_NAMESPACE
    controller = Controller(client, Reconciler(client, namespace, _now, to_stdout).reconcile, to_stdout)
    admitter = Admitter(client, namespace, _now, random.random)
    certificate = webhook.Certificate(address)
    app = webhook.application(admitter, lambda: controller.ready, to_stdout)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    await web.TCPSite(runner, address, port, ssl_context=certificate.context()).start()
    host = f"[{address}]" if ":" in address else address
    to_stdout("serving", url=f"https://{host}:{port}")
    registering = asyncio.create_task(
        _register(client, f"https://{host}:{port}", certificate.authority_pem, controller)
    )
    await stop.wait()
    to_stdout("stopping")
    registering.cancel()
    await controller.stop()
    await runner.cleanup()


async def _register(client: Client, url: str, authority_pem: bytes, controller: Controller) -> None:
    while True:
        try:
            await asyncio.to_thread(register, client, url, authority_pem)
        except ApiFailure as failure:
            to_stdout("not_registered", error=str(failure))
            await asyncio.sleep(REGISTER_AGAIN_S)
        else:
            to_stdout("registered", url=url)
            controller.start()
            return


if __name__ == "__main__":
    sys.exit(main())
