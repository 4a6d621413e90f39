"""Measurements of the sidecar: ratios within one run, never tests."""


class BenchError(Exception):
    """Nothing could be measured; the message is one line."""
