"""Decides what a run proved. Knows nothing of clusters, sockets, clocks or files: ledgers in, a scenario out."""
