"""Who may ask: API keys by request, their environments and their rates. Off unless there is a file of keys."""

import asyncio
import hmac
import logging
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from prometheus_client import Counter
from starlette.datastructures import Headers
from starlette.requests import Request

from gateway import metrics, problems
from gateway.api_keys import ApiKey, ApiKeysError, digest_of, read_keys
from gateway.experiment import NO_CANARY
from gateway.token_bucket import TokenBucket

log = logging.getLogger("gateway")

WATCH_SECONDS = 1.0
COUNTED_KEYS = 1_000
"""Keys whose counters are there before their first request: more would make metrics long for nothing."""
OUTCOMES = ("taken", "forbidden", "limited")
NO_KEY = ""
"""The name, in metrics, of those who have no key of ours; their outcome is "unauthorized"."""

SECURITY_SCHEMES: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
SECURITY: list[dict[str, list[str]]] = [{name: []} for name in SECURITY_SCHEMES]
"""Either of them."""


class Caller:
    """The holder of a key."""

    def __init__(self, key: ApiKey, bucket: TokenBucket | None) -> None:
        self.key = key
        self.bucket = bucket
        self.digest = key.digest

    def enter(self, environment: str) -> None:
        """Take a request's first mail.

        Raises:
            Problem: The key is barred from the environment (403), or over its rate (429).
        """
        if environment not in self.key.environments:
            _count(self.key.name, "forbidden").inc()
            raise problems.forbidden_environment(self.key.name, environment, list(self.key.environments))
        self._spend(1, more=False)
        _count(self.key.name, "taken").inc()

    def charge(self, mails: int) -> None:
        """Take the other mails of a request that has entered.

        Raises:
            Problem: Requests beside it have put the key into debt (429).
        """
        self._spend(mails, more=True)

    def _spend(self, mails: int, *, more: bool) -> None:
        if self.bucket and (seconds := self.bucket.take(mails, more=more)):
            _count(self.key.name, "limited").inc()
            raise problems.rate_limited(self.key.name, self.key.mails_per_second or 0, math.ceil(seconds))


class Access:
    """The callers in a file of keys, which may change while the gateway runs.

    Raises:
        ApiKeysError: The file cannot be used.
    """

    def __init__(self, path: Path, environments: Sequence[str]) -> None:
        self._path = path
        self._environments = environments
        self._named: dict[str, Caller] = {}
        self._found: dict[bytes, Caller] = {}
        self._version = _version(path)
        self._take(read_keys(path, environments))
        _count(NO_KEY, "unauthorized")

    def caller(self, request: Request) -> Caller:
        """Whose request it is; from here on its log line says so.

        A digest is looked up by its hash and compared in constant time: time tells nothing of the keys that there are.

        Raises:
            Problem: It has no key, or none of ours (401).
        """
        try:
            digest = digest_of(_presented(request.headers))
            found = self._found.get(digest, _NOBODY)
            if not hmac.compare_digest(found.digest, digest):
                raise problems.unauthorized("the API key is not known here", 'Bearer error="invalid_token"')
        except problems.Problem:
            _count(NO_KEY, "unauthorized").inc()
            raise
        request.scope["state"]["key"] = found.key.name
        if not found.key.canary:
            request.scope[NO_CANARY] = True
        return found

    def charge(self, request: Request, mails: int) -> None:
        """Count the other mails of a request that has entered with one.

        Raises:
            Problem: Requests beside it have put its key into debt (429).
        """
        # Its key may be gone by now: what has entered is answered.
        if caller := self._named.get(request.scope["state"]["key"]):
            caller.charge(mails)

    def refresh(self) -> None:
        """Take the keys that the file has now; those before stay when it is wrong, and the log says why, once."""
        try:
            if (found := self._changed()) is None:
                return
            self._take(found)
        except ApiKeysError as error:
            log.error("API keys refused, those before stay", extra={"reason": str(error)})
        else:
            log.info("API keys read", extra={"keys": list(self._named)})

    def _changed(self) -> list[ApiKey] | None:
        """The keys in the file; None where it is as it was when it was read last.

        Raises:
            ApiKeysError: It cannot be used.
        """
        version = _version(self._path)
        if version == self._version:
            return None
        self._version = version
        return read_keys(self._path, self._environments)

    @asynccontextmanager
    async def watched(self, seconds: float = WATCH_SECONDS) -> AsyncIterator[None]:
        """Look again and again while the context is open; the kubelet puts another file in place of a Secret's."""
        task = asyncio.create_task(self._watch(seconds), name="api keys")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _watch(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                # In a thread: ten thousand keys take a while to read.
                await asyncio.to_thread(self.refresh)
            except Exception:
                # A watch that ended would leave a key that was taken back in use for ever.
                log.exception("API keys not looked at")

    def _take(self, keys: list[ApiKey]) -> None:
        callers = [Caller(key, self._bucket(key)) for key in keys]
        named = {caller.key.name: caller for caller in callers}
        found = {caller.digest: caller for caller in callers}
        # Each at once, since requests are looked up meanwhile.
        self._named, self._found = named, found
        for key in keys[:COUNTED_KEYS]:
            for outcome in OUTCOMES:
                _count(key.name, outcome)

    def _bucket(self, key: ApiKey) -> TokenBucket | None:
        """The one that the key has, unless its rate is another: a file that changes forgives nobody's debt."""
        before = self._named.get(key.name)
        if before and before.key.rate == key.rate:
            return before.bucket
        return TokenBucket(*key.rate) if key.rate else None


_NOBODY = Caller(ApiKey(name="nobody", sha256="0" * 64, environments=("none",)), None)


def _presented(headers: Headers) -> str:
    """The one key among a request's headers."""
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


@cache
def _count(key: str, outcome: str) -> Counter:
    return metrics.KEY_REQUESTS.labels(key, outcome)


def _version(path: Path) -> tuple[int, int, int] | None:
    """What changes when the file does; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
