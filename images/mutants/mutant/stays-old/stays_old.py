"""As a successor it takes nothing over: it idles, hook and probe succeed, and the predecessor serves until its reset.

Seen by: all classes from the reset on, whose connections end and are refused; before it, by the version that answers.
"""

from __future__ import annotations

from mutation import Original, replaces
from sidecar import process
from sidecar.role import Role


@replaces(process, "role_of")
def role_of(original: Original, version: int | None, alt: int) -> Role:
    """The role for a pair of versions; the hook, a process of its own, knows better and is told that all is settled."""
    role: Role = original(version, alt)
    return Role.IDLE if role is Role.SUCCESSOR else role
