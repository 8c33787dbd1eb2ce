"""What is tried on the baseline's mail: a shadow beside it, a canary in its place. Neither unless there is a share."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import aiohttp
from starlette.requests import Request

from gateway import problems
from gateway.access_log import REQUEST_ID
from gateway.canary import Bounds, Canary
from gateway.coalescer import Coalescer
from gateway.comparison import registered
from gateway.settings import Settings
from gateway.shadow import Limits, Shadow
from gateway.transformer_client import Answer, Mail, TransformerClient
from replicas import Replicas

NO_CANARY = "gateway.no-canary"
"""In the scope of a request that only the environment it asks may answer."""
KEY_HEADER = "X-Canary-Key"
_KEY_NAME = KEY_HEADER.lower().encode()

Ask = Callable[[Coalescer], Awaitable[list[Answer]]]


class Experiment:
    """The candidate beside the baseline; to be opened before it is asked."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._baseline = settings.experiment_baseline
        self._shadow: Shadow | None = None
        self._canary: Canary | None = None

    @asynccontextmanager
    async def opened(
        self, environments: Mapping[str, Coalescer], session: aiohttp.ClientSession
    ) -> AsyncIterator[None]:
        """Begin, and at the end send what the shadow still has, for `SHADOW_DRAIN_SECONDS` at most."""
        settings, candidate = self._settings, self._settings.experiment_candidate
        if settings.canary_share:
            bounds = Bounds.of(settings)
            self._canary = Canary(settings.canary_share, bounds, environments[candidate], settings.deadline_seconds)
        if settings.shadow_share:
            url = str(settings.environments[candidate])
            # Of its own: what hangs or fails here must not keep the candidate's ordinary mail waiting.
            client = TransformerClient(candidate, Replicas(url), settings.model_name, session, counted=False)
            before = [environments[self._baseline], environments[candidate]]
            self._shadow = Shadow(client, Limits.of(settings), settings.shadow_share, before, registered())
        try:
            yield
        finally:
            if self._shadow is not None:
                await self._shadow.close(settings.shadow_drain_seconds)

    async def answer(
        self, request: Request, environment: Coalescer, mails: Sequence[Mail], sizes: Sequence[int], ask: Ask
    ) -> tuple[Coalescer, list[Answer]]:
        """Have a request answered, and compare what production says.

        Args:
            request: With a `X-Canary-Key` that is one, if it has any.
            environment: The one that it is for.
            mails: Of the request.
            sizes: Bytes of each mail.
            ask: Has an environment answer it.

        Returns:
            Who has answered, and what.
        """
        if environment.environment != self._baseline:
            return environment, await ask(environment)
        if (
            self._canary is not None
            and NO_CANARY not in request.scope
            and self._canary.takes(canary_key(request) or mails[0].request_id)
        ):
            answered, answers = await self._canary.ask(environment, ask)
            request.scope["state"]["answered_by"] = answered.environment
        else:
            answered, answers = environment, await ask(environment)
        if self._shadow is not None and answered is environment:
            self._shadow.offer(mails, sizes, answers)
        return answered, answers


def canary_key(request: Request) -> str | None:
    """What the client has a canary choose by, the same for all requests of whom it knows; None where it does not say.

    Raises:
        Problem: It is given twice, or is not 1 to 128 printable ASCII characters (400).
    """
    given = [value for name, value in request.scope["headers"] if name == _KEY_NAME]
    if not given:
        return None
    if len(given) > 1:
        raise problems.repeated_header(KEY_HEADER)
    key: str = given[0].decode("latin-1")
    if not REQUEST_ID.fullmatch(key):
        raise problems.malformed_canary_key()
    return key
