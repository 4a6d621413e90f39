#!/bin/sh
# Exec probe: succeeds while this container's process plays its part, serving or idle.
exec python3 -S -m sidecar.probe
