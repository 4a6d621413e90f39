"""The embedded cluster: a small Kubernetes-shaped machine for tests, of one process tree. Knows nothing of SidecarSet.

machine/      namespaces, container runtime (process 1 of the machine), pod network, images
api/          the API server: storage, watch, patches, admission, custom resources, logs, exec and pod proxy
agent/        the node agent: brings pods to the state that their spec asks for
controllers/  Deployment, ReplicaSet, scheduling, service accounts, namespace and owner deletion
seams.py      the interfaces between them
"""
