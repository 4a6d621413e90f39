"""What a figure was measured on. Knows nothing of figures."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def describe() -> str:
    """Processor, cores, memory, kernel."""
    processor = _field("/proc/cpuinfo", "model name") or platform.machine()
    memory = int(_field("/proc/meminfo", "MemTotal").split()[0]) / 2**20
    return f"{processor}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}"


def load() -> float:
    """Processes that wanted a core within the last minute, on average."""
    return os.getloadavg()[0]


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
