"""Retry policy: which failures are tried again, on which replica, within which deadline and budget.

Gateway and transformer both follow it. Retrying is safe, because scoring a mail twice does no harm.
"""

from http import HTTPStatus

import aiohttp

from inference.errors import BrokenAnswer, Unusable

CONNECT_SECONDS = 1.0
"""Seconds to make one connection.

An address that no pod has any more does not refuse, and another replica may take the request.
"""

# Which failures, and where.

BROKEN = frozenset(
    {
        # A KServe server that is shutting down no longer knows its model.
        HTTPStatus.NOT_FOUND,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
    }
)
"""Statuses after which another replica may have a better answer."""
ANYWHERE = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ConnectionTimeoutError)
"""Errors after which any replica may be tried, even the same one, because no answer had begun.

The connection failed or was closed, as happens when a replica goes away in a rollout.
"""
RETRIED = (TimeoutError, aiohttp.ClientError, BrokenAnswer, Unusable)
"""All errors after which a replica may be tried; it must be another one, except after those of `ANYWHERE`."""

# How often.

RETRIES = 2
"""Retries of one request."""
RETRY_PAUSE_SECONDS = 0.02
"""Seconds to wait before retrying a replica whose connection failed, if there is no other."""
RETRY_SHARE = 0.2
"""Retries that each request adds to the budget of all requests, so an upstream in trouble gets no more than these."""
RETRY_RESERVE = 20.0
"""Retries that may be made at once, so that the requests of a killed replica can move to another."""

# How long an attempt may take, and what a missing answer means.

ATTEMPT_SHARE = 0.5
"""Share of the remaining time that an attempt gets if it can be followed by another or only probes a replica."""
HANG_SHARE = 0.2
"""Share of a request's deadline without an answer after which a replica hangs; a shorter wait proves nothing."""
OWN_PAUSE_SECONDS = 0.5
"""Seconds of a timer's delay that show that this process stood still, stopped or without a CPU.

A missing answer then says nothing about the replica, since the answer may have arrived meanwhile.
"""

# When a replica that failed is used again.

AVOID_SECONDS = (1.0, 30.0)
"""Seconds that a failed replica is used only if there is no other: the first and the longest time.

The time doubles after each further failure.
"""
PROBE_SECONDS = 5.0
"""Longest time in seconds without any request to a hanging replica.

Then one request probes it. While another replica answers, that is a copy whose answer is discarded. With no other, it
is a client's own request, and the rest are refused instead of waiting in vain.
"""
FULL_SPEED = 32
"""Requests under way up to which a recovered replica is limited.

Each answer allows one more, so the limit doubles each round.
"""

# How old addresses may be.

REFRESH_SECONDS = 5.0
"""Seconds after which addresses are resolved again: the lifetime that a cluster's name server gives them."""
WAIT_SECONDS = 1.0
"""Seconds that a request waits for the name server if the addresses are twice `REFRESH_SECONDS` old.

After a pause all replicas may have changed, and a connection to an unused address hangs instead of being refused.
"""
RESOLVE_SECONDS = 10.0
"""Seconds that the name server may take before it is asked again."""
