"""Where an HTTP/1 connection from a client stands.

Plain numbers in a module: looking the member of an enumeration or of a class up costs each request more.
"""

from typing import Final

IDLE: Final = 0  # between requests
HEAD: Final = 1  # part of a request's head is there
EXCHANGE: Final = 2  # a request is with the application
SKIP: Final = 3  # answered, but the request's body is still coming
LINGER: Final = 4  # nothing is served any more
PACKED: Final = 5  # on its way to the successor
