"""API-key authentication, permitted environments and rate limits. Off unless a file of keys is configured."""

import asyncio
import hmac
import logging
import math
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request

from gateway import problems
from gateway.access.api_keys import ApiKey, ApiKeysError, digest_of, read_keys
from gateway.access.token_bucket import TokenBucket
from gateway.http.request_record import record_of
from gateway.metrics import KeyMetrics
from runtime.periodic import every

log = logging.getLogger("gateway")

WATCH_SECONDS = 1.0
COUNTED_KEYS = 1_000
"""Keys whose counters exist before their first request; more would bloat the metrics."""
OUTCOMES = ("taken", "forbidden", "limited")
NO_KEY = ""
"""Metric label for requests without a valid key; their outcome is "unauthorized"."""

SECURITY_SCHEMES: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
SECURITY: list[dict[str, list[str]]] = [{name: []} for name in SECURITY_SCHEMES]
"""OpenAPI security requirement: either scheme is enough."""


class Caller:
    """The holder of an API key."""

    def __init__(self, key: ApiKey, bucket: TokenBucket | None, metrics: KeyMetrics) -> None:
        self._metrics = metrics
        self.key = key
        self.bucket = bucket
        self.digest = key.digest

    def enter(self, environment: str) -> None:
        """Charge a request's first mail to the key.

        Raises:
            Problem: 403 if the key may not use the environment, 429 if it is over its rate.
        """
        if environment not in self.key.environments:
            self._metrics.requests_of(self.key.name, "forbidden").inc()
            raise problems.forbidden_environment(self.key.name, environment, list(self.key.environments))
        self._spend(1, more=False)
        self._metrics.requests_of(self.key.name, "taken").inc()

    def charge(self, mails: int) -> None:
        """Charge the other mails of a request that `enter` has admitted.

        Raises:
            Problem: 429 if concurrent requests have put the key into debt.
        """
        self._spend(mails, more=True)

    def _spend(self, mails: int, *, more: bool) -> None:
        if self.bucket and (seconds := self.bucket.take(mails, more=more)):
            self._metrics.requests_of(self.key.name, "limited").inc()
            raise problems.rate_limited(self.key.name, self.key.mails_per_second or 0, math.ceil(seconds))


class Access:
    """The callers listed in a file of keys, which may change while the gateway runs.

    Raises:
        ApiKeysError: The file cannot be used.
    """

    def __init__(self, path: Path, environments: Sequence[str], metrics: KeyMetrics) -> None:
        self._path = path
        self._environments = environments
        self._metrics = metrics
        self._named: dict[str, Caller] = {}
        self._found: dict[bytes, Caller] = {}
        self._version = _version(path)
        self._take(read_keys(path, environments))
        self._metrics.requests_of(NO_KEY, "unauthorized")

    def caller(self, request: Request) -> Caller:
        """Return the caller of a request and note the key's name for its log line.

        Digests are found by hash and compared in constant time, so timing reveals nothing about known keys.

        Raises:
            Problem: 401 if the request has no key or an unknown one.
        """
        try:
            digest = digest_of(_presented(request.headers))
            found = self._found.get(digest)
            known = found.digest if found else _NO_DIGEST
            if not hmac.compare_digest(known, digest) or found is None:
                raise problems.unauthorized("the API key is not known here", 'Bearer error="invalid_token"')
        except problems.Problem:
            self._metrics.requests_of(NO_KEY, "unauthorized").inc()
            raise
        record = record_of(request.scope)
        record.key, record.may_go_to_canary = found.key.name, found.key.canary
        return found

    def charge(self, request: Request, mails: int) -> None:
        """Charge the other mails of an admitted request to its key.

        Raises:
            Problem: 429 if concurrent requests have put the key into debt.
        """
        # The key may have been removed meanwhile; an admitted request is answered all the same.
        if caller := self._named.get(record_of(request.scope).key or ""):
            caller.charge(mails)

    def refresh(self) -> None:
        """Reload the file if it has changed; if it is invalid, keep the old keys and log the reason once."""
        try:
            if (found := self._changed()) is None:
                return
            self._take(found)
        except ApiKeysError as error:
            log.error("API keys refused, those before stay", extra={"reason": str(error)})
        else:
            log.info("API keys read", extra={"keys": list(self._named)})

    def _changed(self) -> list[ApiKey] | None:
        """Return the keys in the file, or None if it has not changed since the last read.

        Raises:
            ApiKeysError: The file cannot be used.
        """
        version = _version(self._path)
        if version == self._version:
            return None
        self._version = version
        return read_keys(self._path, self._environments)

    def watched(self, seconds: float = WATCH_SECONDS) -> AbstractAsyncContextManager[None]:
        """Reload the keys regularly while the context is open, since the kubelet replaces a Secret's file."""
        # Refresh in a thread: ten thousand keys take a while to read.
        refresh = partial(asyncio.to_thread, self.refresh)
        return every(seconds, refresh, "api keys", partial(log.exception, "API keys not looked at"))

    def _take(self, keys: list[ApiKey]) -> None:
        callers = [Caller(key, self._bucket(key), self._metrics) for key in keys]
        named = {caller.key.name: caller for caller in callers}
        found = {caller.digest: caller for caller in callers}
        # Each dictionary is replaced in one step because requests read them meanwhile.
        self._named, self._found = named, found
        for key in keys[:COUNTED_KEYS]:
            for outcome in OUTCOMES:
                self._metrics.requests_of(key.name, outcome)

    def _bucket(self, key: ApiKey) -> TokenBucket | None:
        """Return the key's bucket, or a new one if its rate has changed. Reloading the file cancels nobody's debt."""
        before = self._named.get(key.name)
        if before and before.key.rate == key.rate:
            return before.bucket
        return TokenBucket(*key.rate) if key.rate else None


_NO_DIGEST = bytes(32)
"""Digest that no key has, compared where none is found."""


def _presented(headers: Headers) -> str:
    """Return the one key in a request's headers."""
    given = [_bearer(value) for value in headers.getlist("authorization")] + headers.getlist("x-api-key")
    if not given:
        raise problems.unauthorized("an API key is needed")
    if len(given) > 1:
        raise problems.unauthorized("more than one API key was sent")
    return given[0]


def _bearer(value: str) -> str:
    scheme, _, key = value.partition(" ")
    if scheme.lower() != "bearer":
        raise problems.unauthorized("Authorization has another scheme than Bearer")
    return key.strip()


def _version(path: Path) -> tuple[int, int, int] | None:
    """Return a value that changes whenever the file does, or None if there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
