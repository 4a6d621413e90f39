"""Clusters to run on, behind one protocol: embedded, kind, current. Knows nothing of scenarios."""
