#!/bin/sh
# postStart of every start: returns when the predecessor may be emptied. -S: it needs nothing that is installed.
exec python3 -S -m sidecar.hook
