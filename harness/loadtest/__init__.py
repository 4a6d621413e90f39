"""A load test: a ramp to the knee, and a soak under upgrades at a part of it; how much a sidecar bears, and meanwhile.

Plays on the engine of any run; knows nothing of clusters and terminals.
"""
