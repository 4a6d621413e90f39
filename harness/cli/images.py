"""`hotupgrade images`: the kit's images, or your own, on a Docker engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from harness.cli import options
from harness.embedded.machine.images import Catalogue
from harness.errors import InputError

base_image = click.option(
    "--base-image",
    metavar="IMAGE",
    envvar="BASE_IMAGE",
    help="What the bases are made from: an image with Python 3.11 or newer, such as a mirror's.",
)


@click.group("images", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Build, list, save and load images with Docker.

    \b
    Example:
      hotupgrade images build
      hotupgrade images save bundle.tar
      hotupgrade images load bundle.tar
    """


def _catalogue(folders: Sequence[Path]) -> Catalogue:
    from harness.cluster.embedded import OWN_IMAGES
    from harness.embedded.machine.images import catalogue

    return catalogue([OWN_IMAGES, *folders])


@command.command(epilog="\b\nExample:\n  hotupgrade images build sidecar:v1 sidecar:v2 --wheelhouse wheels")
@click.argument("refs", nargs=-1, metavar="[IMAGE]...")
@options.images
@base_image
@click.option(
    "--wheelhouse",
    metavar="DIR",
    envvar="WHEELHOUSE",
    type=click.Path(path_type=Path),
    help="Wheels to install from, instead of any index: a build without network. Fill it with make wheelhouse.",
)
@click.option("--network", metavar="MODE", help="Network of the build's RUN steps, such as host.")
def build(
    refs: Sequence[str],
    images: Sequence[Path],
    base_image: str | None,
    wheelhouse: Path | None,
    network: str | None,
) -> None:
    """Build images and what they are made from; all of them unless some are named."""
    from harness.images import builds
    from harness.images.engine import connect
    from harness.images.order import ordered

    catalogue = _catalogue(images)
    definitions = ordered(catalogue, refs or catalogue.refs())
    chosen = builds.Options(base_image=base_image, wheelhouse=wheelhouse, network=network)
    for image in builds.build(connect(), definitions, chosen):
        click.echo(f"{image.ref}  {image.id[7:19]}  {image.size / 1e6:.1f} MB")


@command.command("list", epilog="\b\nExample:\n  hotupgrade images list")
@options.images
def list_(images: Sequence[Path]) -> None:
    """List the images, what the engine has of them, and what they have over their base image."""
    from rich.console import Console
    from rich.table import Table

    from harness.images.engine import connect

    catalogue = _catalogue(images)
    engine = connect()
    table = Table(box=None, pad_edge=False)
    for heading in ("image", "id", "MB", "over base"):
        table.add_column(heading, justify="left" if heading in ("image", "id") else "right")
    for ref in catalogue.refs():
        found = engine.find(ref)
        if found is None:
            table.add_row(ref, "not built", "", "")
        else:
            table.add_row(ref, found.id[7:19], _megabytes(found.size), _megabytes(engine.over_base(found)))
    Console(highlight=False).print(table)


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:.1f}"


@command.command(epilog="\b\nExample:\n  hotupgrade images save bundle.tar")
@click.argument("file", type=click.Path(path_type=Path))
@options.images
def save(file: Path, images: Sequence[Path]) -> None:
    """Save all images into one archive, for clusters without a registry."""
    from harness.images import builds
    from harness.images.engine import connect

    refs = _catalogue(images).refs()
    builds.save(connect(), refs, file)
    click.echo(f"{file}: {len(refs)} images, {file.stat().st_size / 1e6:.0f} MB")


@command.command(epilog="\b\nExample:\n  hotupgrade images load bundle.tar")
@click.argument("file", type=click.Path(path_type=Path))
def load(file: Path) -> None:
    """Load an archive of images into the engine."""
    from harness.images.engine import connect, names_in

    names_in(file)
    for name in connect().load(file):
        click.echo(name)


@command.command(epilog="\b\nExample:\n  hotupgrade images bake --registry example.com/mesh > bake.json")
@click.option(
    "--registry",
    required=True,
    metavar="PREFIX",
    help="Where the images are pushed: PREFIX/sidecar:v1. In small letters, as registries want it.",
)
@click.option(
    "--platform", "platforms", multiple=True, default=["linux/amd64", "linux/arm64"], show_default=True
)
@base_image
@options.images
def bake(registry: str, platforms: Sequence[str], base_image: str | None, images: Sequence[Path]) -> None:
    """Print a file for docker buildx bake: all images, for several architectures, to be pushed."""
    import json

    from harness.cluster.embedded import OWN_IMAGES
    from harness.images import builds
    from harness.images.bake import bake as file_of

    catalogue = _catalogue(images)
    if not registry or registry.endswith("/"):
        raise InputError(
            f"--registry {registry!r}: write it without a slash at its end, such as example.com/mesh"
        )
    document = file_of(
        catalogue,
        catalogue.refs(),
        registry=registry.lower(),  # a GitHub owner's name may have capitals
        platforms=platforms,
        arguments={builds.BASE_IMAGE: base_image} if base_image else {},
        labels=builds.labels(OWN_IMAGES),
    )
    click.echo(json.dumps(document, indent=2))
