"""A real machine: launched, used through the runtime, ended. What runs inside is in scenarios.py."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.embedded.machine.launcher import Machine, launch
from harness.errors import ClusterError

pytestmark = pytest.mark.integration

SCENARIOS = Path(__file__).with_name("scenarios.py")
ROOT = os.geteuid() == 0
RESULT_WITHIN_S = 20.0
GONE_WITHIN_S = 2.0  # the budget is one second; two cores may be shared
POLL_S = 0.01


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("images")
    top.parent.chmod(0o755)
    definitions = {
        "runtime": "FROM elsewhere\n",
        "plain/v1": "FROM runtime\nUSER 65532\nWORKDIR /srv\n",
        "empty/v1": "FROM runtime\n",
        "layered/v1": 'FROM runtime\nCOPY added /etc/added\nCOPY own /opt/own\nCMD ["cat", "/opt/own/f"]\n',
        "static/v1": 'FROM scratch\nCOPY hello /hello\nENTRYPOINT ["/hello"]\n',
    }
    for name, text in definitions.items():
        (top / name).mkdir(parents=True)
        (top / name / "Dockerfile").write_text(text)
    (top / "layered/v1/added").write_text("added\n")
    (top / "layered/v1/own").mkdir()
    (top / "layered/v1/own/f").write_text("own\n")
    (top / "static/v1/hello").write_text("")
    return top


@pytest.fixture
def mark() -> Iterator[str]:
    """In the environment of every process of a test's machines; afterwards no process may have it."""
    text = f"mark-{uuid.uuid4()}"
    yield text
    assert eventually(lambda: marked(text) == [], GONE_WITHIN_S), marked(text)


def marked(mark: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if mark.encode() in (entry / "environ").read_bytes():
                    found.append(f"{entry.name} {(entry / 'cmdline').read_bytes()!r}")
            except OSError:
                continue
    return found


def eventually(condition: Callable[[], bool], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


class Started:
    """A machine that runs a scenario."""

    def __init__(self, scenario: str, images: Path, mark: str) -> None:
        self.result_fd, result = os.pipe()
        self.log = os.memfd_create("log")
        try:
            self.machine: Machine = launch(
                [sys.executable, str(SCENARIOS), scenario, str(result)],
                images=[images],
                pass_fds=[result],
                env={**os.environ, "MARK": mark},
                name="test",
                log_fd=self.log,
            )
        finally:
            os.close(result)

    def result(self) -> Any:
        assert select.select([self.result_fd], [], [], RESULT_WITHIN_S)[0], "no result in time"
        with os.fdopen(os.dup(self.result_fd)) as stream:
            line = stream.readline()
        assert line, self.text()
        return json.loads(line)

    def text(self) -> str:
        return os.pread(self.log, 100_000, 0).decode()

    def close(self) -> None:
        self.machine.stop()
        os.close(self.log)
        os.close(self.result_fd)


@pytest.fixture
def start(images: Path, mark: str) -> Iterator[Callable[[str], Started]]:
    started: list[Started] = []

    def start(scenario: str) -> Started:
        started.append(Started(scenario, images, mark))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def run(start: Callable[[str], Started]) -> Callable[[str], Any]:
    """Runs a scenario to its end and returns its result."""

    def run(scenario: str) -> Any:
        started = start(scenario)
        result = started.result()
        assert started.machine.wait(GONE_WITHIN_S), "the machine outlives its control plane"
        return result

    return run


def test_pods_reach_each_other_on_the_same_port(run: Callable[[str], Any]) -> None:
    found = run("talk")
    one, two = found["addresses"]
    assert one != two
    assert found["one asks two"]["stdout"] == f"host-two {one}\n"
    assert found["two asks one"]["stdout"] == f"host-one {two}\n"
    assert found["machine asks one"] == "host-one 10.244.0.1"
    assert found["one asks itself"]["stdout"] == "host-one 127.0.0.1\n"


def test_addresses_are_never_used_again(run: Callable[[str], Any]) -> None:
    found = run("address_of_a_removed_pod")
    assert found["addresses"][0] != found["addresses"][1]
    assert found["code"] == 137


def test_a_container_sees_only_itself(run: Callable[[str], Any]) -> None:
    found = run("isolation")
    log = found["log"]
    assert int(log[0]) <= 4  # the shell, ls and grep
    assert log[1:3] == ["host-pod", "1"]
    assert "No such file" in log[3]
    assert "Read-only file system" in log[4] or "Permission denied" in log[4]
    assert log[5:6] == ["result"]
    assert log[6].split() == ["NoNewPrivs:", "1"]
    assert log[7] == ("65532" if ROOT else "0")
    assert log[8].startswith("mark-")
    assert log[9] == "/srv"
    assert int(log[10]) >= min(20000, 65536 if ROOT else int(log[10]))
    assert log[11:] == ["0", "0022", "/dev/null"]


def test_exit_codes_and_signals_are_exact(run: Callable[[str], Any]) -> None:
    found = run("exits")
    assert found["seven"] == {"code": 7, "signal": 0, "log": []}
    assert found["killed by itself"]["code"] == 137
    assert found["alive after TERM"]["code"] == 0
    assert found["killed"] == ["pod-deaf", 137, 9]
    assert found["polite"] == [3, 0, "bye"]


def test_commands_run_in_the_container(run: Callable[[str], Any]) -> None:
    found = run("commands")
    assert found["both"] == {"code": 5, "stdout": "out\n", "stderr": "err\n"}
    assert found["env"]["stdout"].split()[1:] == ["more", "1"]
    assert found["env"]["stdout"].startswith("mark-")
    assert found["missing"] == 'exec: "/no/such": stat /no/such: no such file or directory'
    assert found["not running"] == "container nobody is not running"
    assert found["open /dev/stdout"] == {"code": 0, "stdout": "x\n", "stderr": ""}
    assert found["cat"] == [True, 0]
    assert found["killed"] == 137
    assert found["left"].startswith("sleep 100 ")


def test_a_command_may_have_a_terminal(run: Callable[[str], Any]) -> None:
    found = run("terminal")
    assert "/dev/pts/" in found["text"]
    assert "27 91" in found["text"]
    assert "got word" in found["text"]
    assert found["code"] == 0
    assert found["logged"]["code"] == 0
    assert found["logged"]["log"][1].rstrip("\r") == "on a terminal"


def test_what_cannot_start_says_why(run: Callable[[str], Any]) -> None:
    assert run("failures") == {
        "absolute": 'exec: "/no/such": stat /no/such: no such file or directory',
        "bare": 'exec: "nosuch": executable file not found in $PATH',
        "folder": 'exec: "/etc": permission denied',
        "nothing": "no command specified",
        "sandbox": "container gone-f: no sandbox gone",
        "twice": "sandbox pod exists",
        "afterwards": 0,
    }


@pytest.mark.skipif(not ROOT, reason="an ordinary user's machine has one user only")
def test_an_unknown_user_is_told(run: Callable[[str], Any]) -> None:
    assert run("unknown_user") == "unable to find user nosuchuser: no matching entries in passwd file"


def test_logs_are_stamped_split_and_complete_when_the_end_is_told(run: Callable[[str], Any]) -> None:
    found = run("logs")
    texts = sorted(line.split(" ", 1)[1] for line in found["short"])
    assert texts == ["stderr F err", "stdout F last", "stdout F out"]
    assert found["short"][0][10] == "T"
    assert found["short"][0].split()[0][-11:-10] == "."
    assert found["much"] == [40000, "0", "39999"]
    assert found["long"] == [16384, 16384, 40000 - 2 * 16384]


def test_volumes_appear_also_inside_the_hosts_directories(run: Callable[[str], Any]) -> None:
    found = run("volumes")
    assert [line for line in found["log"] if "cannot create" not in line] == [
        "hello",
        "127.0.0.1 made-up",
        "hello",
        "1",
        "read-only",
        "others",
        "1777",
    ]
    assert found["shm"] == ["shm"]


def test_an_images_files_lie_over_the_base_and_each_container_has_its_own(run: Callable[[str], Any]) -> None:
    found = run("layers")
    assert found["first"]["log"] == ["added", "own", "passwd", "env", "again"]
    assert found["second"]["log"] == ["own"]
    assert found["user"]["log"] == (["65532", "0"] if ROOT else ["0", "0"])
    assert found["other user"]["log"][:2] == (["1234", "99"] if ROOT else ["0", "0"])
    assert found["other user"]["code"] == (1 if ROOT else 0)


def test_an_empty_root_holds_only_the_images_files(
    images: Path, tmp_path: Path, run: Callable[[str], Any]
) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("no gcc")
    source = tmp_path / "hello.c"
    source.write_text('#include <stdio.h>\nint main(void) { puts("hello"); return 4; }\n')
    made = subprocess.run(
        ["gcc", "-static", "-o", images / "static/v1/hello", source], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("no static C library")
    found = run("scratch")
    assert found["static"] == {"code": 4, "signal": 0, "log": ["hello"]}
    assert found["no shell"] == 'exec: "/bin/sh": stat /bin/sh: no such file or directory'


def test_a_cancelled_call_leaves_nothing_behind(run: Callable[[str], Any]) -> None:
    assert run("cancelled") == 1


# -- the machine's life ------------------------------------------------------------------------------------


def test_stopping_leaves_no_process_and_no_interface(start: Callable[[str], Started], mark: str) -> None:
    interfaces = sorted(os.listdir("/sys/class/net"))
    mounts = Path("/proc/self/mounts").read_text()
    started = start("busy")
    assert started.result() == "running"
    assert len(marked(mark)) >= 5
    started.machine.stop()
    assert marked(mark) == []
    assert not started.machine.alive()
    assert sorted(os.listdir("/sys/class/net")) == interfaces
    assert Path("/proc/self/mounts").read_text() == mounts
    assert not Path("/run/hotupgrade").exists()


@pytest.mark.parametrize("victim", ["keeper", "process 1", "control plane"])
def test_whoever_is_killed_takes_everything_along(
    start: Callable[[str], Started], mark: str, victim: str
) -> None:
    started = start("busy")
    started.result()
    keeper = started.machine.pid
    first = _children(keeper)[0]
    pid = {"keeper": keeper, "process 1": first, "control plane": _children(first)[0]}[victim]
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: marked(mark) == [], GONE_WITHIN_S), marked(mark)


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


LAUNCHER = """
import os, sys, threading, time
sys.path.insert(0, {root!r})
from pathlib import Path
from harness.embedded.machine.launcher import launch
def work():
    global machine
    result = os.dup(1)
    machine = launch([sys.executable, {scenarios!r}, "busy", str(result)], images=[Path({images!r})],
                     pass_fds=[result], name="test")
    {then}
{how}
time.sleep(1000)
"""


class Launcher:
    """A process of its own that launches a machine."""

    def __init__(self, images: Path, mark: str, how: str, then: str = "", wait: bool = True) -> None:
        root = str(SCENARIOS.parents[3])
        text = LAUNCHER.format(
            root=root, scenarios=str(SCENARIOS), images=str(images), how=how, then=then or "pass"
        )
        self._wait, self._then, self.keeper = wait, then, 0
        self._process = subprocess.Popen(
            [sys.executable, "-c", text],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "MARK": mark},
            text=True,
        )

    def __enter__(self) -> subprocess.Popen[str]:
        assert self._process.stdout is not None
        running = not self._wait
        while not running or (self._then and not self.keeper):
            line = self._process.stdout.readline().strip()
            assert line, "the launcher ended"
            if line.isdigit():
                self.keeper = int(line)
            running = running or line == '"running"'
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.mark.parametrize(
    ("how", "number"),
    [
        ("work()", signal.SIGKILL),
        ("work()", signal.SIGTERM),
        ("thread = threading.Thread(target=work); thread.start(); thread.join()", signal.SIGKILL),
    ],
)
def test_the_machine_dies_with_its_launcher(images: Path, mark: str, how: str, number: int) -> None:
    with Launcher(images, mark, how) as process:
        assert len(marked(mark)) >= 5
        process.send_signal(number)
        process.wait()
    assert eventually(lambda: marked(mark) == [], GONE_WITHIN_S), marked(mark)


@pytest.mark.parametrize("delay_s", [0.0, 0.03, 0.06, 0.1, 0.2, 0.4])
def test_killing_the_launcher_at_any_moment_leaves_nothing(images: Path, mark: str, delay_s: float) -> None:
    with Launcher(images, mark, "work()", wait=False) as process:
        select.select([], [], [], delay_s)  # not to wait for something: the moment is what varies
        process.kill()
        process.wait()
    assert eventually(lambda: marked(mark) == [], GONE_WITHIN_S), marked(mark)


def test_a_released_machine_outlives_its_launcher_and_ends_when_told(images: Path, mark: str) -> None:
    launcher = Launcher(images, mark, "work()", then="machine.release(); print(machine.pid, flush=True)")
    with launcher as process:
        keeper = launcher.keeper
        process.kill()
        process.wait()
        assert not eventually(lambda: len(marked(mark)) < 5, 0.3)
        handle = os.pidfd_open(keeper)
        os.kill(keeper, signal.SIGTERM)
        assert select.select([handle], [], [], GONE_WITHIN_S)[0]
        os.close(handle)
    assert eventually(lambda: marked(mark) == [], GONE_WITHIN_S), marked(mark)


def test_a_control_plane_that_fails_ends_the_machine_and_leaves_its_words(
    start: Callable[[str], Started],
) -> None:
    started = start("fails")
    assert started.machine.wait(RESULT_WITHIN_S)
    assert "this is why" in started.text()


def test_a_control_plane_that_is_no_program_is_told_at_once(images: Path) -> None:
    with pytest.raises(ClusterError, match="No such file"):
        launch(["/no/such/program"], images=[images], name="test")
