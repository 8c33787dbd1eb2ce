"""Canary: the candidate answers a share of production's requests until it exceeds a limit.

A client never sees the candidate fail: production answers in its place, within the same deadline. Each process judges
only its own recent requests. A stopped canary stays stopped until the process restarts.
"""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from time import monotonic

from gateway import problems
from gateway.experiments.shares import in_share
from gateway.metrics import CanaryMetrics
from gateway.predictions.environment import Ask, Environment
from gateway.predictions.mails import Verdicts
from gateway.settings import GatewaySettings

log = logging.getLogger("gateway")

SLOW_SHARE = 0.05
"""Share of the candidate's requests that may take longer than its latency limit, which is a 95th percentile."""
CANDIDATE_SHARE = 0.5
"""Share of a request's deadline that the candidate gets; the rest is enough for production."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits that stop a canary."""

    error_rate: float
    """Largest share of requests, 0 to 1, that production had to answer because the candidate failed."""
    latency_seconds: float
    """Longest 95th percentile, in seconds, of the time until the candidate answered or failed."""
    minimum_requests: int
    """Requests in the window below which nothing is judged."""
    window_seconds: int

    @classmethod
    def of(cls, settings: GatewaySettings) -> "Bounds":
        """Return the limits from the settings, which are all set if the canary has a share."""
        assert settings.canary_max_error_rate is not None and settings.canary_max_latency_seconds is not None
        return cls(
            settings.canary_max_error_rate,
            settings.canary_max_latency_seconds,
            settings.canary_minimum_requests,
            settings.canary_window_seconds,
        )


@dataclass(slots=True)
class Second:
    """Outcomes of the requests that ended within one second."""

    begin: int
    requests: int = 0
    errors: int = 0
    slow: int = 0


class RecentRequests:
    """The candidate's requests in the recent past."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._seconds: deque[Second] = deque()

    def add(self, now: float, seconds: float, failed: bool) -> None:
        """Count a request that has just ended after this many seconds."""
        if not self._seconds or self._seconds[-1].begin != int(now):
            self._seconds.append(Second(int(now)))
        while self._seconds[0].begin <= int(now) - self._bounds.window_seconds:
            self._seconds.popleft()
        last = self._seconds[-1]
        last.requests += 1
        last.errors += failed
        last.slow += seconds > self._bounds.latency_seconds

    def left_bound(self) -> str | None:
        """Return the limit that the requests exceed, `errors` or `latency`, or None.

        Too few requests exceed nothing.
        """
        requests = sum(each.requests for each in self._seconds)
        if requests < self._bounds.minimum_requests:
            return None
        if sum(each.errors for each in self._seconds) > self._bounds.error_rate * requests:
            return "errors"
        if sum(each.slow for each in self._seconds) > SLOW_SHARE * requests:
            return "latency"
        return None

    def said(self) -> dict[str, int]:
        """Return the counts for the log."""
        return {
            "requests": sum(each.requests for each in self._seconds),
            "errors": sum(each.errors for each in self._seconds),
            "slow": sum(each.slow for each in self._seconds),
        }


class Canary:
    """The candidate's share of production's requests.

    Args:
        share: Share of requests, 0 to 1.
        bounds: Limits that stop the canary.
        candidate: The environment under test.
        deadline_seconds: Deadline of a request, shared by the candidate and then production.
        metrics: Metrics of the canary.
    """

    def __init__(
        self, share: float, bounds: Bounds, candidate: Environment, deadline_seconds: float, metrics: CanaryMetrics
    ) -> None:
        self._share = share
        self._candidate = candidate
        self._deadline_seconds = deadline_seconds
        self._window = RecentRequests(bounds)
        self._metrics = metrics
        metrics.share.set(share)
        for bound in metrics.BOUNDS:
            metrics.stopped.labels(bound).set(0)

    def takes(self, key: str) -> bool:
        """Return whether the candidate answers requests with this key."""
        return self._share > 0 and in_share(key, self._share, b"canary")

    async def ask(self, production: Environment, ask: Ask) -> tuple[Environment, list[Verdicts]]:
        """Ask the candidate, and production if the candidate fails.

        Returns:
            The environment that answered, and its answers.

        Raises:
            Problem: Neither environment answered.
        """
        began = monotonic()
        try:
            async with asyncio.timeout(CANDIDATE_SHARE * self._deadline_seconds):
                answers = await ask(self._candidate)
        except (problems.Problem, TimeoutError) as error:
            seconds = monotonic() - began
            answers = await self._instead(production, ask, began)
            reason = getattr(error, "detail", "no answer in time")
            log.info("canary failed, answered otherwise", extra={"reason": reason})
            self._note("error", seconds)
            return production, answers
        self._note("answered", monotonic() - began)
        return self._candidate, answers

    async def _instead(self, production: Environment, ask: Ask, began: float) -> list[Verdicts]:
        try:
            async with asyncio.timeout(began + self._deadline_seconds - monotonic()):
                return await ask(production)
        except TimeoutError:
            self._metrics.requests.labels("unjudged").inc()
            reason = "neither the candidate nor this environment answered"
            raise problems.upstream_slow(production.name, self._deadline_seconds, reason) from None
        except problems.Problem:
            # The mail itself may be at fault, and its sender must not be able to stop a canary.
            self._metrics.requests.labels("unjudged").inc()
            raise

    def _note(self, outcome: str, seconds: float) -> None:
        self._metrics.requests.labels(outcome).inc()
        self._window.add(monotonic(), seconds, outcome == "error")
        if self._share and (bound := self._window.left_bound()):
            self._stop(bound)

    def _stop(self, bound: str) -> None:
        self._share = 0.0
        self._metrics.share.set(0)
        self._metrics.stopped.labels(bound).set(1)
        log.error("canary stopped", extra={"bound": bound, **self._window.said()})
