"""Load from inside the cluster, and the ledgers of both sides. Knows nothing of upgrades and verdicts."""
