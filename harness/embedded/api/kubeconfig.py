"""The kubeconfig of a cluster: address, authority, token. Knows nothing of where it is kept."""

from __future__ import annotations

import base64
from typing import Any

import yaml


def kubeconfig(server_url: str, ca_pem: bytes, token: str, cluster_name: str) -> dict[str, Any]:
    """A kubeconfig with one cluster, one user and one context, all of the cluster's name."""
    authority = base64.b64encode(ca_pem).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": cluster_name, "cluster": {"server": server_url, "certificate-authority-data": authority}}
        ],
        "users": [{"name": cluster_name, "user": {"token": token}}],
        "contexts": [{"name": cluster_name, "context": {"cluster": cluster_name, "user": cluster_name}}],
        "current-context": cluster_name,
    }


def kubeconfig_yaml(server_url: str, ca_pem: bytes, token: str, cluster_name: str) -> str:
    """The same as the text of a file."""
    return yaml.safe_dump(kubeconfig(server_url, ca_pem, token, cluster_name), sort_keys=False)
