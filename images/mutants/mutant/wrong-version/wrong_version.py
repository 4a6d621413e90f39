"""Its answers say in x-sidecar-version that they are v1's.

Seen by: nobody's requests; only one version is seen to answer, so that nothing is proved.
"""

from __future__ import annotations

from mutation import Original, replaces
from sidecar.config import Config
from sidecar.proxy.service import Service


@replaces(Service, "__init__")
def init(original: Original, service: Service, config: Config) -> None:
    """The log says the truth."""
    original(service, config._replace(release="v1"))
