"""Handing listening sockets over from a predecessor to its successor. Knows nothing of HTTP."""
