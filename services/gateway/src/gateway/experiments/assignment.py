"""Experiments on production's mail: a shadow beside it, a canary in its place. Both are off without a share."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import aiohttp

from gateway.experiments.canary import Bounds, Canary
from gateway.experiments.comparison import Comparison
from gateway.experiments.shadow_queue import ShadowLimits, ShadowQueue
from gateway.metrics import Metrics
from gateway.predictions.environment import Ask, Environment, Predicted
from gateway.predictions.mails import Mail
from gateway.predictions.transformer_client import TransformerClient
from gateway.settings import GatewaySettings
from inference import Replicas


class Experiment:
    """The candidate's shadow and canary beside production; `opened` must be entered before use."""

    def __init__(self, settings: GatewaySettings, metrics: Metrics, comparison: Comparison) -> None:
        self._settings = settings
        self._metrics = metrics
        self._comparison = comparison
        self._production = settings.experiment_baseline
        self._shadow: ShadowQueue | None = None
        self._canary: Canary | None = None

    @asynccontextmanager
    async def opened(
        self, environments: Mapping[str, Environment], session: aiohttp.ClientSession
    ) -> AsyncIterator[None]:
        """Start the experiments. At the end, send the shadow's remaining mail for at most `SHADOW_DRAIN_SECONDS`."""
        settings, candidate = self._settings, self._settings.experiment_candidate
        if settings.canary_share:
            self._canary = Canary(
                settings.canary_share,
                Bounds.of(settings),
                environments[candidate],
                settings.deadline_seconds,
                self._metrics.canary,
            )
        if settings.shadow_share:
            url = str(settings.environments[candidate])
            # A client of its own: hanging or failing shadow requests must not delay the candidate's ordinary mail.
            client = TransformerClient(candidate, Replicas(url), settings.model_name, session)
            before = [environments[name].coalescer for name in (self._production, candidate)]
            limits = ShadowLimits.of(settings)
            share, counts = settings.shadow_share, self._metrics.shadow
            self._shadow = ShadowQueue(client, limits, share, before, self._comparison, counts)
        try:
            yield
        finally:
            if self._shadow is not None:
                await self._shadow.close(settings.shadow_drain_seconds)

    async def answer(
        self, environment: Environment, mails: Sequence[Mail], sizes: Sequence[int], key: str | None, ask: Ask
    ) -> Predicted:
        """Have a request answered, and offer the answer to the shadow.

        Args:
            environment: The environment that the request is for.
            mails: Mails of the request.
            sizes: Bytes of each mail.
            key: Key that the canary chooses by, or None if only `environment` may answer.
            ask: Asks an environment to answer the request.
        """
        if environment.name != self._production:
            return Predicted(environment, await ask(environment))
        by_canary = self._canary is not None and key is not None and self._canary.takes(key)
        if self._canary is not None and by_canary:
            answered, answers = await self._canary.ask(environment, ask)
        else:
            answered, answers = environment, await ask(environment)
        if self._shadow is not None and answered is environment:
            self._shadow.offer(mails, sizes, answers)
        return Predicted(answered, answers, by_canary)
