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
