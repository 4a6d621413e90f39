#!/bin/sh
# Idles until it is told to end. PID 1 ignores TERM unless it has a handler, and a shell runs one only between commands
# or in `wait`.
trap 'kill "$!" 2>/dev/null; exit 0' TERM INT
while :; do
    sleep 3600 &
    wait "$!"
done
