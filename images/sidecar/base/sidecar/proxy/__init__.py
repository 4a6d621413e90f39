"""The reverse proxy: HTTP/1.1 in, HTTP/1.1 out. Knows nothing of hand-overs, only of draining."""
