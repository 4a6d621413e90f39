"""API calls whose failures a user can read. Knows nothing of what is called."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError, MaxRetryError

from harness.errors import ClusterError

REQUEST_S = 10.0  # an API server that takes longer for one object is not usable


def reason_of(error: Exception) -> str:
    """One line that says why a call failed: the API's message where there is one."""
    text = str(error.reason if isinstance(error, MaxRetryError) else error)
    if isinstance(error, ApiException):
        text = f"{error.status} {error.reason}"
        with suppress(ValueError, TypeError, KeyError):
            text = f"{error.status} {json.loads(error.body or '')['message']}"
    return " ".join(text.split())[:400]


def raw(call: Callable[..., Any], *args: object, **options: object) -> bytes:
    """The answer's bytes as they are: the client's models cost time and drop what they do not know."""
    body: bytes = call(*args, **options, _preload_content=False, _request_timeout=REQUEST_S).data
    return body


@contextmanager
def calling(what: str) -> Iterator[None]:
    """Turns the failures of a call into a ClusterError that begins with what was to be done."""
    try:
        yield
    except (ApiException, HTTPError) as error:
        raise ClusterError(f"cannot {what}: {reason_of(error)}") from error
