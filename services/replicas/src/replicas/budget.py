"""A bound on retries: a share of the requests, so that an upstream in trouble is not asked ever more."""

RETRY_SHARE = 0.2
"""Retries for each request, over time."""
RESERVE = 20.0
"""Retries that may be made at once: what a replica that is killed had under way finds its way to another."""


class RetryBudget:
    """A bucket of tokens: each request puts `RETRY_SHARE` of one in, each retry takes one out; `RESERVE` at most."""

    def __init__(self, share: float = RETRY_SHARE, reserve: float = RESERVE) -> None:
        self._share = share
        self._reserve = reserve
        self._tokens = reserve

    def add(self) -> None:
        """Count a request."""
        self._tokens = min(self._tokens + self._share, self._reserve)

    def has(self, retries: int = 1) -> bool:
        """Whether so many retries may be made."""
        return self._tokens >= retries

    def take(self, retries: int = 1) -> bool:
        """Whether so many retries may be made; if so, they are counted."""
        if not self.has(retries):
            return False
        self._tokens -= retries
        return True
