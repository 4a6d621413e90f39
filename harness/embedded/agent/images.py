"""Names of images as a container runtime spells them in a status. Knows no images."""

from __future__ import annotations


def _split(ref: str) -> tuple[str, str]:
    """Repository, and tag with its colon or digest with its at sign."""
    repository, at, digest = ref.partition("@")
    head, slash, last = repository.rpartition("/")
    name, colon, tag = last.partition(":")
    return f"{head}{slash}{name}", f"@{digest}" if at else f":{tag}" if colon else ":latest"


def canonical(ref: str) -> str:
    """Fully qualified: `agent:v1` is `docker.io/library/agent:v1`, `rig/agent` is
    `docker.io/rig/agent:latest`."""
    repository, suffix = _split(ref)
    first, slash, _ = repository.partition("/")
    if not slash:
        return f"docker.io/library/{repository}{suffix}"
    if "." in first or ":" in first or first == "localhost":
        return repository + suffix
    return f"docker.io/{repository}{suffix}"


def image_id(ref: str, digest: str) -> str:
    """`docker.io/rig/agent@sha256:…`, as the status gives it."""
    return f"{_split(canonical(ref))[0]}@{digest}"
