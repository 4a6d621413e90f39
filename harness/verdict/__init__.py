"""Decides what a run proved. Knows nothing of clusters, sockets, clocks and files."""
