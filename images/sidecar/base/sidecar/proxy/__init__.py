"""The proxy: HTTP/1.1 and tunnels, in both directions. Knows nothing of hand-overs, only of draining."""
