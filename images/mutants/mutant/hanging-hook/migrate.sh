#!/bin/sh
# The fault: the hook never returns, although the hand-over comes to its end. The pod does not become Ready again.
# Seen by: nobody; the upgrade does not come to its end, and the old container is never emptied.
exec sleep infinity
