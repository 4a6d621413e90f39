"""Errors that a user sees: one line each, and the exit code that goes with it.

`hotupgrade run` exits with 0 passed, 1 failed, 2 usage or input error, 3 inconclusive, 4 cluster or
infrastructure, 130 interrupted. Knows nothing of where an error arises.
"""


class HotupgradeError(Exception):
    """Base of every error that the command line prints as one line, without a traceback."""

    exit_code = 4


class InputError(HotupgradeError):
    """The user's input is wrong; the message says what, where and how to mend it. Raised before anything starts."""

    exit_code = 2


class ClusterError(HotupgradeError):
    """The cluster, or another part of the infrastructure, failed; says nothing about the sidecar under test."""

    exit_code = 4


class Timeout(ClusterError):
    """Something awaited did not come; the message says what was awaited and what was seen instead."""
