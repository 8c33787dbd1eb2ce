"""Retry budget: a share of the requests, so that an upstream in trouble does not get ever more of them."""

from inference.policy import RETRY_RESERVE, RETRY_SHARE


class RetryBudget:
    """Token bucket of retries. Each request adds a share of a token, up to the reserve; each retry takes one."""

    def __init__(self, share: float = RETRY_SHARE, reserve: float = RETRY_RESERVE) -> None:
        self._share = share
        self._reserve = reserve
        self._tokens = reserve

    def add(self) -> None:
        """Count a request."""
        self._tokens = min(self._tokens + self._share, self._reserve)

    def has(self, retries: int = 1) -> bool:
        """Return whether so many retries may be made."""
        return self._tokens >= retries

    def take(self, retries: int = 1) -> bool:
        """Take so many retries if they may be made; return whether they may."""
        if not self.has(retries):
            return False
        self._tokens -= retries
        return True
