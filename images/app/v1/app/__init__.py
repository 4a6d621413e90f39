"""The application under the sidecar: answers on loopback, keeps the ledger of every request that it executed.

Knows nothing of the sidecar, of upgrades or of the harness that reads its ledger.
"""
