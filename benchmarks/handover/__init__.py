"""Hand-overs, counted: what a strict client sees of a hundred of them, and how long each takes.

`python -m benchmarks.handover` starts an application, sidecars and clients as processes of their own on
loopback, upgrades the sidecar again and again, and judges what the clients' ledgers, the application's ledger
and the sidecars' logs say. Knows nothing of the harness: the sidecar is used as a container would.
"""
