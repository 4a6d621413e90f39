"""The API server of the embedded cluster: the part of the Kubernetes API that the harness, the reference
controller and kubectl need, over TLS and in process. What it lacks is answered with an error that says so.

Start reading at `server`; `engine` holds what every verb does, `storage` what is kept. Knows nothing of
SidecarSet, nor of how pods run.
"""
