"""The proxy: HTTP/1.1, HTTP/2 and tunnels. Knows nothing of hand-overs, only of draining."""
