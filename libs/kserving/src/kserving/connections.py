"""Limits of a model server's connections, and its refusals in the protocol's shape."""

import orjson

from httpserver import ConnectionLimits, Connections, Head, RefusalAnswer, RequestRefused

BODIES = 8
"""Bodies of the largest size that all unanswered requests together may have."""


class ServerHooks:
    """A model server's part in what the HTTP server refuses; it refuses nothing at once and counts nothing."""

    def at_once(self, head: Head) -> bytes | None:
        """Return None: the application answers each request."""
        return None

    def refusal(self, refused: RequestRefused) -> RefusalAnswer:
        """Return the answer to a request that the server refuses: `{"error": …}`."""
        detail = refused.detail
        if refused.kind == "too-large":
            limit = refused.members["limit_bytes"]
            detail = f"the body is larger than {limit:,} bytes; send fewer rows at once, or set MAX_BODY_BYTES"
        return RefusalAnswer([(b"content-type", b"application/json")], orjson.dumps({"error": detail}))

    def ended(self, reason: str) -> None:
        """Note the end of a connection: nothing here counts them."""


def connections(max_body_bytes: int) -> Connections:
    """Return the maker of one server's connections, with its limits."""
    limits = ConnectionLimits(
        waiting_bytes=max_body_bytes, body_bytes=max_body_bytes, bodies_bytes=BODIES * max_body_bytes
    )
    return Connections(limits, ServerHooks())
