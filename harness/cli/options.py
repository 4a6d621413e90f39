"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

images = click.option(
    "--images",
    "images",
    multiple=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="A folder of your own images: DIR/team/proxy/v2/Dockerfile is team/proxy:v2. Repeatable.",
)
kubelet_backoff = click.option(
    "--kubelet-backoff",
    is_flag=True,
    help="Embedded cluster: delay the fourth quick image change of one container, as a real kubelet does.",
)
api_port = click.option(
    "--api-port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default="any free one",
    help="Embedded cluster: port of the API server on 127.0.0.1.",
)
name = click.option(
    "--name",
    default="hotupgrade",
    show_default=True,
    metavar="NAME",
    help="Name of the cluster.",
)
kubeconfig = click.option(
    "--kubeconfig",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Cluster current: the kubeconfig. Default: KUBECONFIG, else ~/.kube/config.",
)
context = click.option("--context", metavar="NAME", help="Cluster current: the kubeconfig's context.")
manifest = click.option(
    "-f",
    "--file",
    "manifest",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The SidecarSet, as you give it to Kruise.",
)
to = click.option(
    "--to",
    multiple=True,
    metavar="IMAGE",
    help="Image to upgrade to; repeat it to alternate. Default: v1 and v2 of the manifest's image.",
)
container = click.option(
    "--container", metavar="NAME", help="Container to upgrade, where several are HotUpgrade."
)
port = click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Port where the sidecar serves. Default: the hot container's first containerPort, else 9091.",
)
version_header = click.option(
    "--version-header",
    default="x-sidecar-version",
    show_default=True,
    metavar="HEADER",
    help="Response header that names the sidecar's version; give '' if there is none.",
)
reports = click.option(
    "--reports",
    default=Path("reports"),
    show_default=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder for reports; DIR/latest points at the newest.",
)
