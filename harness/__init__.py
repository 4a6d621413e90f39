"""Conformance kit for hot upgrades of mesh sidecars; the command is `hotupgrade`."""

__version__ = "0.1.0"
