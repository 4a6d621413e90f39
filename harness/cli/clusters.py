"""The cluster that the options name. Knows nothing of what is done on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from harness.cli import options
from harness.cluster.protocol import Cluster

KINDS = ("embedded", "kind", "current")


@dataclass(frozen=True)
class ClusterOptions:
    """What a user may say of the cluster, as given."""

    cluster: str
    images: Sequence[Path]
    kubelet_backoff: bool
    api_port: int
    kubeconfig: Path | None
    context: str | None


OPTIONS = (
    click.option(
        "--cluster",
        default="embedded",
        show_default=True,
        envvar="HOTUPGRADE_CLUSTER",
        type=click.Choice(KINDS),
        help="Where to run: embedded needs neither Docker nor root; current is where your kubeconfig leads.",
    ),
    options.images,
    options.kubelet_backoff,
    options.api_port,
    options.kubeconfig,
    options.context,
)


def cluster_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options; the function takes them as one `cluster_options`."""

    def gather(**given: Any) -> Any:
        names = ClusterOptions.__dataclass_fields__
        mine = {name: given.pop(name) for name in names}
        return function(cluster_options=ClusterOptions(**mine), **given)

    gather.__name__, gather.__doc__ = function.__name__, function.__doc__
    gather.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
    decorated: Callable[..., Any] = gather
    for option in reversed(OPTIONS):
        decorated = option(decorated)
    return decorated


def cluster_of(chosen: ClusterOptions) -> Cluster:
    """The cluster, not started; InputError."""
    if chosen.cluster == "current":
        from harness.cluster.current import CurrentCluster

        return CurrentCluster(kubeconfig=chosen.kubeconfig, context=chosen.context)
    from harness.cluster.embedded import EmbeddedCluster

    return EmbeddedCluster(
        images=chosen.images, api_port=chosen.api_port, kubelet_backoff=chosen.kubelet_backoff
    )
