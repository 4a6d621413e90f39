"""The reference sidecar: a reverse proxy for a pod that hands its sockets over to its successor.

Runs on Python >= 3.11 with uvloop and httptools. Knows nothing of the harness that tests it.
"""
