"""What can go wrong, by culprit. Knows nothing of how an error is shown."""


class SidecarError(Exception):
    """Base of all errors of this package; the message is one line."""


class ConfigError(SidecarError):
    """The environment is wrong; found before anything is bound. The process exits with 2."""


class HandoverError(SidecarError):
    """A hand-over did not come to its commit."""


class LocalHandoverError(HandoverError):
    """This side could not do its part: directory, ports, a step out of turn."""


class PeerHandoverError(HandoverError):
    """The other side broke the protocol, fell silent, refused or ended."""
