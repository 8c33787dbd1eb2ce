"""Experiments on the baseline's mail: a shadow beside it, a canary in its place. Both are off without a share."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import aiohttp
from starlette.requests import Request

from gateway import problems
from gateway.access_log import REQUEST_ID
from gateway.canary import Bounds, Canary
from gateway.comparison import registered
from gateway.environment import Environment
from gateway.mails import Answer, Mail
from gateway.settings import Settings
from gateway.shadow import Shadow, ShadowLimits
from gateway.transformer_client import TransformerClient
from replicas import Replicas

NO_CANARY = "gateway.no-canary"
"""Scope key of a request that only the environment it names may answer."""
KEY_HEADER = "X-Canary-Key"
_KEY_NAME = KEY_HEADER.lower().encode()

Ask = Callable[[Environment], Awaitable[list[Answer]]]


class Experiment:
    """The candidate's shadow and canary beside the baseline; `opened` must be entered before use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._baseline = settings.experiment_baseline
        self._shadow: Shadow | None = None
        self._canary: Canary | None = None

    @asynccontextmanager
    async def opened(
        self, environments: Mapping[str, Environment], session: aiohttp.ClientSession
    ) -> AsyncIterator[None]:
        """Start the experiments. At the end, send the shadow's remaining mail for at most `SHADOW_DRAIN_SECONDS`."""
        settings, candidate = self._settings, self._settings.experiment_candidate
        if settings.canary_share:
            bounds = Bounds.of(settings)
            self._canary = Canary(settings.canary_share, bounds, environments[candidate], settings.deadline_seconds)
        if settings.shadow_share:
            url = str(settings.environments[candidate])
            # A client of its own: hanging or failing shadow requests must not delay the candidate's ordinary mail.
            client = TransformerClient(candidate, Replicas(url), settings.model_name, session, counted=False)
            before = [environments[name].coalescer for name in (self._baseline, candidate)]
            self._shadow = Shadow(client, ShadowLimits.of(settings), settings.shadow_share, before, registered())
        try:
            yield
        finally:
            if self._shadow is not None:
                await self._shadow.close(settings.shadow_drain_seconds)

    async def answer(
        self, request: Request, environment: Environment, mails: Sequence[Mail], sizes: Sequence[int], ask: Ask
    ) -> tuple[Environment, list[Answer]]:
        """Have a request answered, and offer the answer to the shadow.

        Args:
            request: Its `X-Canary-Key`, if any, is valid.
            environment: The environment that the request is for.
            mails: Mails of the request.
            sizes: Bytes of each mail.
            ask: Asks an environment to answer the request.

        Returns:
            The environment that answered, and its answers.
        """
        if environment.name != self._baseline:
            return environment, await ask(environment)
        if (
            self._canary is not None
            and NO_CANARY not in request.scope
            and self._canary.takes(canary_key(request) or mails[0].request_id)
        ):
            answered, answers = await self._canary.ask(environment, ask)
            request.scope["state"]["answered_by"] = answered.name
        else:
            answered, answers = environment, await ask(environment)
        if self._shadow is not None and answered is environment:
            self._shadow.offer(mails, sizes, answers)
        return answered, answers


def canary_key(request: Request) -> str | None:
    """Return the key by which a canary chooses, or None if the client sends none.

    A client sends the same key for all requests of one user.

    Raises:
        Problem: 400 if the key is given twice or is not 1 to 128 printable ASCII characters.
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
