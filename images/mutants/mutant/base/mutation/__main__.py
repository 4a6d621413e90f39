"""`python3 -m mutation`: the sidecar with the fault of its image, whose name is its release."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping

from mutation import Original, replaces
from sidecar import process
from sidecar.config import Config


@replaces(process, "read")
def read(original: Original, environment: Mapping[str, str]) -> Config:
    """The configuration, with the release that the image says by a variable in place of a file."""
    config: Config = original(environment)
    return config._replace(release=environment["MUTANT"])


if __name__ == "__main__":
    importlib.import_module("fault")
    sys.exit(process.main())
