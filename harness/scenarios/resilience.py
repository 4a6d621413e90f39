"""The resilience profile: faults, and how much of them clients may feel."""

from __future__ import annotations

from harness.scenarios.scenario import CUT, GENTLY, UNREACHABLE, Allowed, Need, Scenario, Waits
from harness.scenarios.steps import (
    MISSING,
    NEXT,
    AddPod,
    Begin,
    DeletePod,
    Execute,
    Halted,
    Reach,
    Restart,
    Settle,
    Slow,
    Steady,
    Upgrade,
)

SHARED = "/dev/shm/sidecar-*"  # where the reference sidecar keeps its sockets, one directory for each user
STALE = f"""cd {SHARED} && python3 -c 'import socket
for name in ("0.sock", "7.sock", "99999999999.sock", "99999999999.admin"):
    socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).bind(name)'"""
REFERENCE: tuple[Need, ...] = ("reference",)
WHILE_IT_IS_THERE_S = (
    60.0  # a release that dies starts again and again, in back-off, until a good one takes its place
)
IN_FLIGHT = "requests on connections that the crashed process had, in flight or with a close not yet seen"
LOST_IN_FLIGHT = Allowed(IN_FLIGHT, CUT, within_s=WHILE_IT_IS_THERE_S, everywhere=True)


def bad_release(name: str, fault: str, allowed: Allowed | None = LOST_IN_FLIGHT) -> Scenario:
    """A release with a fault, which is the mutant of that name, then a good one."""
    return Scenario(
        name=name,
        profile="resilience",
        description=f"{fault}; then a good release.",
        needs=REFERENCE,
        allowed=allowed,
        steps=(
            Begin(f"mutant:{name}", expect="halted", fault="a release with a fault"),
            Halted(3.0),
            Upgrade(),
            Steady(3.0),
        ),
    )


RESILIENCE = (
    Scenario(
        name="bad-image",
        profile="resilience",
        description="An image that exists nowhere, then a good one.",
        steps=(Begin(MISSING, expect="halted", fault="an image that exists nowhere"), Halted(3.0), Upgrade()),
    ),
    bad_release("crash-before-ack", "The successor dies before it acknowledges the listeners", allowed=None),
    bad_release("crash-after-ack", "The successor dies once it has acknowledged the listeners"),
    bad_release("crash-after-commit", "The successor dies right after the commit"),
    bad_release("hook-fails", "The new release's postStart hook fails, which ends it whatever it holds"),
    Scenario(
        name="hook-hangs",
        profile="resilience",
        description="The new release's postStart hook never returns: the pod stays as it is, and serves.",
        needs=REFERENCE,
        steps=(Begin("mutant:hanging-hook", expect="halted", fault="a release with a fault"), Halted(8.0)),
    ),
    Scenario(
        name="predecessor-dies",
        profile="resilience",
        description="The predecessor is killed while it hands its connections over.",
        needs=REFERENCE,
        allowed=Allowed(IN_FLIGHT, UNREACHABLE, within_s=WHILE_IT_IS_THERE_S, everywhere=True),
        steps=(
            Upgrade("mutant:die-in-transfer"),
            Begin(NEXT, fault="a predecessor that dies"),
            Settle(),
            Steady(1.0),
        ),
    ),
    Scenario(
        name="pod-deleted",
        profile="resilience",
        description="A pod is deleted in the middle of its upgrade; the others' traffic does not feel it.",
        shape=GENTLY,
        allowed=Allowed("requests to the deleted pod", UNREACHABLE | {"status"}, within_s=600.0),
        steps=(
            Begin(),
            Reach("upgrade"),
            DeletePod(),
            Settle(),
            Steady(5.0),
        ),
    ),
    Scenario(
        name="pod-added",
        profile="resilience",
        description="A pod is added in the middle of an upgrade.",
        shape=GENTLY,
        steps=(
            Begin(),
            Reach("upgrade"),
            AddPod(),
            Settle(),
            Steady(3.0),
        ),
    ),
    Scenario(
        name="slow-application",
        profile="resilience",
        description="The application answers 300 ms later than usual.",
        steps=(Slow(300), Upgrade(count=2), Slow(0), Steady(0.5)),
    ),
    Scenario(
        name="application-restarts",
        profile="resilience",
        description="The application ends in the middle of an upgrade and starts again.",
        shape=GENTLY,
        allowed=Allowed(
            "requests while the application was away",
            UNREACHABLE | {"status"},
            within_s=15.0,
            everywhere=True,
        ),
        steps=(
            Begin(),
            Reach("upgrade"),
            Execute("end the application", ("/bin/sh", "-c", "kill -TERM 1"), container="application"),
            Settle(),
            Steady(3.0),
        ),
    ),
    Scenario(
        name="agent-restarts",
        profile="resilience",
        description="The node's agent is restarted in the middle of an upgrade.",
        shape=GENTLY,
        needs=("restart-agent",),
        allowed=Allowed(
            "what the old sidecar still held when the end of its successor's hook was lost with the agent",
            CUT,
            within_s=15.0,
            everywhere=True,
        ),
        steps=(Begin(), Reach("upgrade"), Restart("agent"), Settle()),
    ),
    Scenario(
        name="controller-restarts",
        profile="resilience",
        description="The SidecarSet controller is restarted in the middle of an upgrade.",
        shape=GENTLY,
        needs=("restart-controller",),
        steps=(Begin(), Reach("upgrade"), Restart("controller"), Settle()),
        waits=Waits(step_s=90.0),
    ),
    Scenario(
        name="read-only-directory",
        profile="resilience",
        description="The directory that the containers share takes no new files, then it does again.",
        needs=REFERENCE,
        steps=(
            Execute("make the shared directory read-only", ("/bin/sh", "-c", f"chmod 0500 {SHARED}")),
            Begin(),
            Halted(3.0),
            Execute("make it writable again", ("/bin/sh", "-c", f"chmod 0700 {SHARED}")),
            Settle(),
        ),
    ),
    Scenario(
        name="stale-sockets",
        profile="resilience",
        description="The shared directory holds sockets of processes that are long gone.",
        needs=REFERENCE,
        steps=(
            Execute("leave sockets of dead processes", ("/bin/sh", "-c", STALE)),
            Upgrade(count=2),
        ),
    ),
)
