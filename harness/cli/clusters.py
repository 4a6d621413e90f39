"""The cluster that the options name. Knows nothing of what is done on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import options

if TYPE_CHECKING:
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
    name: str
    keep: bool
    adopt: bool
    nodes: int
    kind_image: str | None
    kind_config: Path | None
    image_archives: Sequence[Path]
    kruise_version: str
    kruise_chart: Path | None
    kruise_manifests: Path | None
    kruise_image: str | None


def _option(name: str, help: str, **more: Any) -> Callable[..., Any]:
    """An option that can be set by HOTUPGRADE_NAME as well, so that make can pass it on."""
    return click.option(f"--{name}", envvar=f"HOTUPGRADE_{name.upper().replace('-', '_')}", help=help, **more)


FILE: dict[str, Any] = {"metavar": "FILE", "type": click.Path(path_type=Path)}
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
    _option("name", "kind: name of the cluster.", default="hotupgrade", show_default=True, metavar="NAME"),
    _option("keep", "kind: leave the cluster and its Kruise as they are afterwards.", is_flag=True),
    _option("adopt", "kind: use a cluster of that name even if hotupgrade did not make it.", is_flag=True),
    _option("nodes", "kind: worker nodes.", default=0, show_default=True, type=click.IntRange(0, 20)),
    _option("kind-image", "kind: node image. Default: kind's own.", metavar="IMAGE"),
    _option("kind-config", "kind: your own configuration, in place of --nodes.", **FILE),
    click.option(
        "--image-archive",
        "image_archives",
        multiple=True,
        envvar="HOTUPGRADE_IMAGE_ARCHIVE",
        help="kind: an archive of images for the nodes, as images save makes it. Repeatable.",
        **FILE,
    ),
    _option("kruise-version", "kind: Kruise's chart.", default="1.9.0", show_default=True, metavar="VERSION"),
    _option("kruise-chart", "kind: Kruise's chart as a file or folder, without a repository.", **FILE),
    _option("kruise-manifests", "kind: Kruise as plain YAML, without Helm.", **FILE),
    _option("kruise-image", "kind: image of Kruise's manager.", metavar="IMAGE"),
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


def cluster_of(chosen: ClusterOptions, more_images: Sequence[Path] = ()) -> Cluster:
    """The cluster, not started; `more_images` are folders beside the user's own; InputError."""
    if chosen.cluster == "current":
        from harness.cluster.current import CurrentCluster

        return CurrentCluster(kubeconfig=chosen.kubeconfig, context=chosen.context)
    if chosen.cluster == "kind":
        return _kind(chosen)
    from harness.cluster.embedded import EmbeddedCluster

    return EmbeddedCluster(
        images=[*chosen.images, *more_images],
        api_port=chosen.api_port,
        kubelet_backoff=chosen.kubelet_backoff,
    )


def _kind(chosen: ClusterOptions) -> Cluster:
    from harness.cluster import kruise
    from harness.cluster.kind import KindCluster, KindOptions
    from harness.images.archive import Archives

    source = kruise.Source(
        version=chosen.kruise_version,
        chart=chosen.kruise_chart,
        manifests=chosen.kruise_manifests,
        image=chosen.kruise_image,
    )
    wanted = KindOptions(
        name=chosen.name,
        nodes=chosen.nodes,
        keep=chosen.keep,
        adopt=chosen.adopt,
        image=chosen.kind_image,
        config=chosen.kind_config,
        archives=chosen.image_archives,
        kruise=source,
    )
    return KindCluster(wanted, Archives())
