"""What an installer applies to run the webhook and controller in a cluster.

The CRD and the webhook configurations are not among it: the process registers them itself, with its pod's
address, whenever it starts. Its own namespace is out of its reach, so it can always start. Knows nothing of
how it is applied.
"""

from __future__ import annotations

from harness.sidecarset.names import GROUP, MANAGER_NAMESPACE, PLURAL, Object
from harness.sidecarset.registration import OWN_LABEL
from harness.sidecarset.webhook import READY

NAME = "kruise-controller-manager"
SERVICE_ACCOUNT = "kruise-manager"
PORT = 9876
COMMAND = ["python3", "-m", "harness.sidecarset"]
LABELS = {OWN_LABEL[0]: OWN_LABEL[1], "app": NAME}
GRACE_S = 1
"""Nothing has to be brought to an end."""

RULES: list[Object] = [
    {"apiGroups": [GROUP], "resources": [PLURAL], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [GROUP], "resources": [f"{PLURAL}/status"], "verbs": ["update"]},
    {"apiGroups": [GROUP], "resources": [f"{PLURAL}/finalizers"], "verbs": ["update"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "update"]},
    {"apiGroups": [""], "resources": ["pods/status"], "verbs": ["patch"]},
    {"apiGroups": [""], "resources": ["namespaces", "configmaps"], "verbs": ["get", "list"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
    {
        "apiGroups": ["apps"],
        "resources": ["controllerrevisions"],
        "verbs": ["list", "create", "update", "delete"],
    },
    {
        "apiGroups": ["admissionregistration.k8s.io"],
        "resources": ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
        "verbs": ["get", "create", "update"],
    },
    {
        "apiGroups": ["apiextensions.k8s.io"],
        "resources": ["customresourcedefinitions"],
        "verbs": ["get", "create", "update"],
    },
]


def install_objects(image: str) -> list[Object]:
    """Namespace, ServiceAccount and Deployment, in the order in which they are applied."""
    return [_namespace(), _service_account(), _deployment(image)]


def access_objects() -> list[Object]:
    """ClusterRole and ClusterRoleBinding, for clusters that check access; applied before the Deployment."""
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": SERVICE_ACCOUNT},
        "rules": RULES,
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": SERVICE_ACCOUNT},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": SERVICE_ACCOUNT,
        },
        "subjects": [{"kind": "ServiceAccount", "name": SERVICE_ACCOUNT, "namespace": MANAGER_NAMESPACE}],
    }
    return [role, binding]


def _namespace() -> Object:
    labels = {OWN_LABEL[0]: OWN_LABEL[1]}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": MANAGER_NAMESPACE, "labels": labels},
    }


def _service_account() -> Object:
    metadata = {"name": SERVICE_ACCOUNT, "namespace": MANAGER_NAMESPACE}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def _deployment(image: str) -> Object:
    container = {
        "name": "manager",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": COMMAND,
        "env": [
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        ],
        "ports": [{"name": "webhook", "containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": READY, "port": PORT, "scheme": "HTTPS"}, "periodSeconds": 1},
    }
    pod = {
        "serviceAccountName": SERVICE_ACCOUNT,
        "terminationGracePeriodSeconds": GRACE_S,
        "containers": [container],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": MANAGER_NAMESPACE, "labels": LABELS},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": pod},
        },
    }
