#!/bin/sh
# The fault: the hook fails in each start, whatever the process beside it does, so the container is killed and restarts.
# Seen by: those whose requests the container serves when it is killed; the upgrade does not come to its end.
echo "migrate.sh: the configuration of this release cannot be read" >&2
exit 1
