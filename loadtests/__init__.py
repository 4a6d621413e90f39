"""The Locust files: one user class per traffic class, a client that never retries, a ledger of every request.

They run in the load generator's pods and know nothing of the harness, which mounts them there.
"""
