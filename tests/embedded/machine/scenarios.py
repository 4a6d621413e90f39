"""What the integration tests do in a machine: this is the control plane, `python scenarios.py NAME FD`.

The scenario's result goes to the descriptor as JSON; the test that started it judges.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from harness.embedded.machine.client import RuntimeClient, connect
from harness.embedded.seams import ContainerSpec, Mount, RuntimeFailure

WITHIN_S = 10.0  # each scenario takes well under a second
POLL_S = 0.01

SERVE = """
import socket
listener = socket.create_server(("0.0.0.0", 9091))
print("listening", flush=True)
while True:
    connection, peer = listener.accept()
    connection.sendall(f"{socket.gethostname()} {peer[0]}".encode())
    connection.close()
"""
ASK = "import socket, sys; print(socket.create_connection((sys.argv[1], 9091), 5).recv(99).decode())"


class Pod:
    """One sandbox and the containers in it."""

    def __init__(self, runtime: RuntimeClient, name: str, address: str) -> None:
        self.runtime, self.name, self.address = runtime, name, address
        self.shm = runtime.volumes / name / "shm"
        self.shm.mkdir(parents=True)

    def log(self, container: str) -> Path:
        return self.runtime.volumes / self.name / f"{container}.log"

    async def start(
        self,
        container: str,
        command: Sequence[str] | None,
        image: str = "plain:v1",
        *,
        mounts: Sequence[Mount] = (),
        user: str | None = None,
        tty: bool = False,
    ) -> str:
        name = f"{self.name}-{container}"
        spec = ContainerSpec(
            id=name,
            sandbox=self.name,
            name=container,
            image=self.runtime.image(image),
            command=command,
            args=None,
            env={"MARK": os.environ["MARK"]},
            mounts=mounts,
            log=self.log(container),
            shm=self.shm,
            user=user,
            tty=tty,
        )
        await self.runtime.start(spec)
        return name

    async def run(
        self, container: str, command: Sequence[str] | None, image: str = "plain:v1", **more: Any
    ) -> Any:
        """Runs a container to its end; its exit code and the texts that it logged."""
        name = await self.start(container, command, image, **more)
        async for ended in self.runtime.exits():
            if ended.container == name:
                lines = self.log(container).read_text().splitlines()
                return {
                    "code": ended.code,
                    "signal": ended.signal,
                    "log": [line.split(" ", 3)[3] for line in lines],
                }
        raise AssertionError("no end")

    async def logged(self, container: str, text: str) -> None:
        """Waits until a text is in the log."""
        while not self.log(container).exists() or text not in self.log(container).read_text():
            await asyncio.sleep(POLL_S)


async def pod(runtime: RuntimeClient, name: str = "pod") -> Pod:
    return Pod(runtime, name, await runtime.run_sandbox(name, f"host-{name}"))


async def command(runtime: RuntimeClient, container: str, argv: Sequence[str], **more: Any) -> Any:
    """Runs a command in a container to its end."""
    session = await runtime.exec(container, argv, **more)
    output = {"stdout": "", "stderr": ""}
    while (chunk := await session.read()) is not None:
        output[chunk[0]] += chunk[1].decode()
    return {"code": await session.wait(), **output}


async def without(runtime: RuntimeClient, container: str, word: str) -> str:
    """The command lines in a container, as soon as none has that word."""
    script = "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"
    while word in (found := str((await command(runtime, container, ["sh", "-c", script]))["stdout"])):
        await asyncio.sleep(POLL_S)
    return found


async def failure(awaitable: Awaitable[Any]) -> str:
    try:
        await awaitable
    except RuntimeFailure as error:
        return str(error)
    raise AssertionError("it worked")


async def talk(runtime: RuntimeClient) -> Any:
    """Two pods listen on the same port and reach each other; the machine reaches both."""
    one, two = await pod(runtime, "one"), await pod(runtime, "two")
    for each in (one, two):
        await each.start("server", ["python3", "-c", SERVE])
        await each.logged("server", "listening")
    reader, _ = await asyncio.open_connection(one.address, 9091)
    return {
        "addresses": [one.address, two.address],
        "one asks two": await command(runtime, "one-server", ["python3", "-c", ASK, two.address]),
        "two asks one": await command(runtime, "two-server", ["python3", "-c", ASK, one.address]),
        "machine asks one": (await reader.read()).decode(),
        "one asks itself": await command(runtime, "one-server", ["python3", "-c", ASK, "127.0.0.1"]),
    }


async def address_of_a_removed_pod(runtime: RuntimeClient) -> Any:
    first = await pod(runtime, "first")
    await first.start("sleeper", ["sleep", "100"])
    await runtime.remove_sandbox("first")
    ended = await anext(runtime.exits())
    await runtime.remove_sandbox("first")
    return {"addresses": [first.address, (await pod(runtime, "second")).address], "code": ended.code}


async def isolation(runtime: RuntimeClient) -> Any:
    one = await pod(runtime)
    await one.start("other", ["sleep", "100"])
    script = (
        "ls /proc | grep -c '^[0-9]*$'; hostname; echo $$; ls /run/hotupgrade 2>&1; touch /usr/x 2>&1; "
        "touch /tmp/result && ls /tmp; grep NoNewPrivs /proc/self/status; id -u; echo $MARK; pwd; ulimit -n; "
        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start; umask; "
        "readlink /proc/self/fd/0"
    )
    return await one.run("main", ["/bin/sh", "-c", script])


async def exits(runtime: RuntimeClient) -> Any:
    one = await pod(runtime)
    found: dict[str, Any] = {}
    found["seven"] = await one.run("seven", ["sh", "-c", "exit 7"])
    found["killed by itself"] = await one.run("suicide", ["sh", "-c", "sh -c 'kill -9 $$'; exit $?"])
    name = await one.start("deaf", ["sh", "-c", "echo up; sleep 100 & wait"])
    await one.logged("deaf", "up")
    await runtime.signal(name, 15)
    found["alive after TERM"] = await command(runtime, name, ["sh", "-c", "kill -TERM 1; kill -0 1"])
    await runtime.signal(name, 9)
    ended = await anext(runtime.exits())
    found["killed"] = [ended.container, ended.code, ended.signal]
    name = await one.start("polite", ["sh", "-c", "trap 'echo bye; exit 3' TERM; echo up; sleep 100 & wait"])
    await one.logged("polite", "up")
    await runtime.signal(name, 15)
    ended = await anext(runtime.exits())
    found["polite"] = [ended.code, ended.signal, one.log("polite").read_text().split()[-1]]
    await runtime.signal(name, 15)
    return found


async def commands(runtime: RuntimeClient) -> Any:
    one = await pod(runtime)
    name = await one.start("main", ["sleep", "100"])
    found: dict[str, Any] = {
        "both": await command(runtime, name, ["sh", "-c", "echo out; echo err >&2; exit 5"]),
        "env": await command(
            runtime, name, ["sh", "-c", "echo $MARK $MORE; ls /proc | grep -c '^1$'"], env={"MORE": "more"}
        ),
        "missing": await failure(runtime.exec(name, ["/no/such"])),
        "not running": await failure(runtime.exec("nobody", ["true"])),
        "open /dev/stdout": await command(runtime, name, ["sh", "-c", "echo x > /dev/stdout"]),
    }
    session = await runtime.exec(name, ["cat"], stdin=True)
    data = b"0123456789" * 50_000
    writer = asyncio.create_task(_feed(session, data))
    back = b""
    while (chunk := await session.read()) is not None:
        back += chunk[1]
    await writer
    found["cat"] = [back == data, await session.wait()]
    session = await runtime.exec(name, ["sh", "-c", "sleep 99 & (sleep 98 &) ; echo up; wait"])
    await session.read()
    await session.kill()
    found["killed"] = await session.wait()
    left = await without(runtime, name, "sleep 9")
    found["left"] = left
    return found


async def _feed(session: Any, data: bytes) -> None:
    await session.write(data)
    await session.close_input()


async def terminal(runtime: RuntimeClient) -> Any:
    one = await pod(runtime)
    name = await one.start("main", ["sleep", "100"])
    session = await runtime.exec(
        name, ["sh", "-c", "tty; read x; stty size; echo got $x"], stdin=True, tty=True
    )
    await session.resize(91, 27)
    await session.write(b"word\n")
    text = b""
    while (chunk := await session.read()) is not None:
        text += chunk[1]
    logged = await one.run("tty", ["sh", "-c", "tty && echo on a terminal"], tty=True)
    return {"text": text.decode(), "code": await session.wait(), "logged": logged}


async def failures(runtime: RuntimeClient) -> Any:
    one = await pod(runtime)
    return {
        "absolute": await failure(one.start("a", ["/no/such", "x"])),
        "bare": await failure(one.start("b", ["nosuch"])),
        "folder": await failure(one.start("c", ["/etc"])),
        "nothing": await failure(one.start("d", None, "empty:v1")),
        "sandbox": await failure(Pod(runtime, "gone", "").start("f", ["true"])),
        "twice": await failure(runtime.run_sandbox("pod", "pod")),
        "afterwards": (await one.run("g", ["true"]))["code"],
    }


async def unknown_user(runtime: RuntimeClient) -> Any:
    return await failure((await pod(runtime)).start("main", ["true"], user="nosuchuser"))


async def logs(runtime: RuntimeClient) -> Any:
    one = await pod(runtime)
    await one.run("short", ["sh", "-c", "echo out; echo err >&2; printf last"])
    short = one.log("short").read_text().splitlines()
    await one.run("much", ["python3", "-c", "for n in range(40000): print(n, 'x' * 90)"])
    await one.run("long", ["python3", "-c", "print('y' * 40000)"])
    much = one.log("much").read_text().splitlines()
    return {
        "short": short,
        "much": [len(much), much[0].split(" ", 4)[3], much[-1].split(" ", 4)[3]],
        "long": [len(line.split(" ", 3)[3]) for line in one.log("long").read_text().splitlines()],
    }


async def volumes(runtime: RuntimeClient) -> Any:
    one = await pod(runtime)
    shared, file = runtime.volumes / "shared", runtime.volumes / "hosts"
    shared.mkdir()
    shared.chmod(0o777)
    file.write_text("127.0.0.1 made-up\n")
    mounts = [
        Mount(shared, "/data/deep"),
        Mount(shared, "/etc/added/by/volume", read_only=True),
        Mount(file, "/etc/hosts", read_only=True),
        Mount(file, "/usr/local/added-file"),
        Mount(shared, "/var/run/secrets/x", read_only=True),
    ]
    script = (
        "echo hello > /data/deep/f; cat /etc/added/by/volume/f /usr/local/added-file /run/secrets/x/f; "
        "getent hosts made-up | wc -l; echo x > /etc/added/by/volume/g || echo read-only; "
        "test -e /etc/passwd && test -d /usr/local/bin && echo others; "
        "echo shm > /dev/shm/f; stat -c %a /dev/shm"
    )
    found = await one.run("main", ["sh", "-c", script], mounts=mounts)
    found["shm"] = (await one.run("second", ["cat", "/dev/shm/f"]))["log"]
    return found


async def layers(runtime: RuntimeClient) -> Any:
    one = await pod(runtime)
    script = (
        "cat /etc/added /opt/own/f; test -e /etc/passwd && echo passwd; test -x /usr/bin/env && echo env; "
        "rm -r /opt/own && mkdir /opt/own && echo again > /opt/own/f && cat /opt/own/f"
    )
    return {
        "first": await one.run("first", ["sh", "-c", script], "layered:v1", user="0"),
        "second": await one.run("second", None, "layered:v1"),
        "user": await one.run("user", ["sh", "-c", "id -u; id -g"], "plain:v1"),
        "other user": await one.run("other", ["sh", "-c", "id -u; id -g; touch /root/x"], user="1234:99"),
    }


async def scratch(runtime: RuntimeClient) -> Any:
    one = await pod(runtime)
    return {
        "static": await one.run("static", None, "static:v1"),
        "no shell": await failure(one.start("shell", ["/bin/sh"], "static:v1")),
    }


async def cancelled(runtime: RuntimeClient) -> Any:
    one = await pod(runtime)
    starting = asyncio.create_task(one.start("main", ["sleep", "100"]))
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    making = asyncio.create_task(runtime.run_sandbox("two", "two"))
    await asyncio.sleep(0)
    making.cancel()
    await asyncio.gather(making, return_exceptions=True)
    name = await one.start("steady", ["sleep", "100"])
    running = asyncio.create_task(runtime.exec(name, ["sleep", "97"]))
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    left = await without(runtime, name, "sleep 97")
    await runtime.remove_sandbox("two")
    await runtime.run_sandbox("two", "two")
    return left.count("sleep")


async def busy(runtime: RuntimeClient) -> Any:
    """Runs until it is ended: a container with children, in a pod."""
    one = await pod(runtime)
    await one.start("main", ["sh", "-c", "sleep 1000 & sleep 1000 & echo up; wait"])
    await one.logged("main", "up")
    return "running"


async def fails(runtime: RuntimeClient) -> Any:
    await busy(runtime)
    sys.stderr.write("this is why\n")
    sys.stderr.flush()
    os._exit(9)


def main() -> None:
    scenario: Callable[[RuntimeClient], Awaitable[Any]] = globals()[sys.argv[1]]

    async def run() -> None:
        runtime = await connect()
        result = await asyncio.wait_for(scenario(runtime), WITHIN_S)
        os.write(int(sys.argv[2]), json.dumps(result).encode() + b"\n")
        os.close(int(sys.argv[2]))
        if sys.argv[1] == "busy":
            await asyncio.Event().wait()

    asyncio.run(run())


if __name__ == "__main__":
    main()
