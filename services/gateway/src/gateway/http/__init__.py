"""HTTP server: connections, heads and bodies of requests, refusals and the access log."""
