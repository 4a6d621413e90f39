"""Names of its own for an image in each upgrade: a kubelet counts restarts by pod, container and image name.

A container runtime reports any of the names that an image has; so what runs is compared by its release. Pure.
"""

from __future__ import annotations

import re

MARK = "-hotupgrade."
SUFFIX = re.compile(re.escape(MARK) + r"\d+$")


def alias(ref: str, index: int) -> str:
    """The name for upgrade `index`; a digest or an untagged reference has none but itself."""
    return f"{ref}{MARK}{index}" if "@" not in ref and ":" in ref.rsplit("/", 1)[-1] else ref


def release(ref: str) -> str:
    """The reference that the user gave, whichever of its names this is."""
    return SUFFIX.sub("", ref)
