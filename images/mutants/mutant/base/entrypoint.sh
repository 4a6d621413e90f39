#!/bin/sh
exec python3 -m mutation "$@"
