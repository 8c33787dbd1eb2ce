"""Headers of requests between the hops."""

DEADLINE = "X-Deadline-Ms"
"""Header with the milliseconds that the sender waits, counted from the request's arrival."""
REQUEST_ID = "X-Request-ID"
"""Header with the id of a request; between the hops, of a batch."""
