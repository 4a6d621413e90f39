"""The row of a pod: how many containers are ready, one word for what it is doing, restarts. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.embedded.seams import Object


def pod_cells(since: Callable[[str | None], str]) -> Callable[[Object], list[Any]]:
    """The function that fills a row; `since` tells how long ago a time was."""

    def cells(pod: Object) -> list[Any]:
        status, spec = pod.get("status") or {}, pod["spec"]
        statuses = status.get("containerStatuses") or []
        ready = sum(bool(item.get("ready")) for item in statuses)
        return [
            f"{ready}/{len(spec.get('containers') or ())}",
            state(pod),
            _restarts(statuses, since),
            since(pod["metadata"].get("creationTimestamp")),
            *(status.get("podIP") or "<none>", spec.get("nodeName") or "<none>", "<none>", "<none>"),
        ]

    return cells


def state(pod: Object) -> str:
    """`Running`, `CrashLoopBackOff`, `Init:0/1`, `Terminating` …, as kubectl has it."""
    status = pod.get("status") or {}
    told = status.get("reason") or status.get("phase") or "Unknown"
    beginning = _initialising(pod, status)
    if beginning is not None:
        told = beginning
    else:
        running = False
        for item in reversed(status.get("containerStatuses") or []):
            told = _unusual(item) or told
            running = running or bool(
                item.get("ready") and (item.get("state") or {}).get("running") is not None
            )
        if told == "Completed" and running:
            ready = any(
                item.get("type") == "Ready" and item.get("status") == "True" for item in _conditions(status)
            )
            told = "Running" if ready else "NotReady"
    if pod["metadata"].get("deletionTimestamp") and told not in ("Succeeded", "Failed", "Completed"):
        return "Terminating"
    return str(told)


def _conditions(status: Object) -> list[Object]:
    return status.get("conditions") or []


def _initialising(pod: Object, status: Object) -> str | None:
    """What the first init container that is not done does, or None."""
    restartable = {
        item["name"] for item in pod["spec"].get("initContainers") or () if item.get("restartPolicy")
    }
    items = status.get("initContainerStatuses") or []
    for index, item in enumerate(items):
        state = item.get("state") or {}
        ended = state.get("terminated")
        if (ended and ended.get("exitCode") == 0) or (
            item.get("name") in restartable and item.get("started")
        ):
            continue
        told = _unusual(item)
        if told and told != "PodInitializing":
            return f"Init:{told}"
        return f"Init:{index}/{len(items)}"
    return None


def _unusual(item: Object) -> str:
    """Why a container waits or ended, or "" when it runs."""
    state = item.get("state") or {}
    if (waiting := state.get("waiting")) and waiting.get("reason"):
        return str(waiting["reason"])
    if ended := state.get("terminated"):
        if ended.get("reason"):
            return str(ended["reason"])
        return f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{ended.get('exitCode', 0)}"
    return ""


def _restarts(statuses: list[Object], since: Callable[[str | None], str]) -> str:
    count = sum(item.get("restartCount") or 0 for item in statuses)
    ends = [((item.get("lastState") or {}).get("terminated") or {}).get("finishedAt") for item in statuses]
    latest = max(filter(None, ends), default=None)
    return f"{count} ({since(latest)} ago)" if count and latest else str(count)
