"""Errors of requests to replicas."""


class Unreachable(Exception):
    """No replica may be tried now; the message says why."""


class ConnectionFailed(Exception):
    """No connection could be made, or it was closed before the whole answer arrived.

    Args:
        kind: Short reason that tells nothing of addresses, such as the error's type.
        detail: Message of the error, which may name the replica's address.
    """

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind


class ErrorAnswer(Exception):
    """A replica answered with an error status, which any other replica would repeat."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.body = body


class BrokenAnswer(ErrorAnswer):
    """A replica answered with an error status, but another one may have a better answer."""


class Unusable(Exception):
    """An answer has status 200 but cannot be used; the message says why. Another replica may have a better one."""


class TooShort(TimeoutError):
    """No answer, within too short a time to judge the replica."""


class Slow(TimeoutError):
    """No answer to this request, but to others meanwhile: the replica does not hang."""


class Paused(TooShort):
    """No answer, while this process stood still."""
