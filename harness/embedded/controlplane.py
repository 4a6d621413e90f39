"""The process inside the machine: API server, node agent and workload controllers in one event loop.

Started by `harness.embedded.cluster`, which reads one line from `--report-fd`: the kubeconfig, once the API answers.
When this process ends, the machine ends.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import signal
import socket
import sys
import time
from typing import Any

from harness.embedded import management
from harness.embedded.agent.agent import NodeAgent
from harness.embedded.agent.records import Records
from harness.embedded.agent.service import AgentService
from harness.embedded.api.kubeconfig import kubeconfig
from harness.embedded.api.server import ApiServer
from harness.embedded.controllers import run_controllers
from harness.embedded.machine.client import RuntimeClient, connect
from harness.embedded.machine.network import GATEWAY
from harness.embedded.seams import NODES, Api, ApiError

NODE = "embedded"
SERVICE_PORT = 6443  # where pods find the API, on the machine's bridge


def main() -> None:
    """Runs until SIGTERM, or until one of its parts fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--api-fd", type=int, required=True)
    parser.add_argument("--report-fd", type=int, required=True)
    parser.add_argument("--manager-fd", type=int)
    parser.add_argument("--name", default="hotupgrade", help="what the kubeconfig calls the cluster")
    parser.add_argument("--kubelet-backoff", action="store_true")
    try:
        asyncio.run(_run(parser.parse_args()))
    except asyncio.CancelledError:
        sys.exit(0)


async def _run(options: argparse.Namespace) -> None:
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    token = secrets.token_urlsafe(24)
    runtime = await connect()
    server = ApiServer(token=token, addresses=["127.0.0.1", GATEWAY])

    def new_agent(records: Records) -> NodeAgent:
        return NodeAgent(
            server.api,
            runtime,
            records,
            name=NODE,
            host_ip=GATEWAY,
            service_host=GATEWAY,
            service_port=SERVICE_PORT,
            ca=server.ca_pem.decode(),
            token=token,
            kubelet_backoff=options.kubelet_backoff,
        )

    agent = AgentService(new_agent)
    server.attach_node(agent)
    api_socket = socket.socket(fileno=options.api_fd)
    await server.start([api_socket, _bridge_socket()])
    entry = kubeconfig(f"https://127.0.0.1:{api_socket.getsockname()[1]}", server.ca_pem, token, options.name)
    manager = await _serve_manager(options.manager_fd, entry)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(agent.run())
            group.create_task(run_controllers(server.api, node=NODE, ca=server.ca_pem.decode()))
            group.create_task(_list_images(server.api, runtime))
            with os.fdopen(options.report_fd, "w") as report:
                report.write(json.dumps(entry) + "\n")
    finally:
        if manager:
            manager.close()
        await server.stop()


def _bridge_socket() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((GATEWAY, SERVICE_PORT))
    listener.listen(128)
    return listener


async def _serve_manager(descriptor: int | None, entry: dict[str, Any]) -> asyncio.Server | None:
    """Answers `cluster status`, `kubeconfig` and `down` of a cluster that lives on its own."""
    if descriptor is None:
        return None
    facts: dict[str, Any] = {"kubeconfig": entry, "started": time.time(), "pid": None}

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if request.get("verb") == "released":
            facts["pid"] = request["pid"]
        elif request.get("verb") != "describe":
            return {"error": f"unknown verb {request.get('verb')!r}"}
        return facts

    return await management.serve(socket.socket(fileno=descriptor), answer)


async def _list_images(api: Api, runtime: RuntimeClient) -> None:
    """Tells the node's images in its status, as a kubelet does: each by its digest and by its name."""
    images = []
    for ref in runtime.refs():
        image = runtime.image(ref)
        repository = image.ref.rpartition(":")[0]
        images.append({"names": [f"{repository}@{image.id}", image.ref]})
        await asyncio.sleep(0)  # building takes milliseconds each; whoever waits comes first
    while True:
        try:
            await api.patch(NODES, NODE, {"status": {"images": images}}, subresource="status")
            return
        except ApiError as error:
            if error.code != 404:
                raise
            await asyncio.sleep(0.05)  # the agent registers the node first


if __name__ == "__main__":
    main()
