"""Readiness of a model that depends on another server, without the SDK's client.

The SDK asks the predictor anew for each probe, all through one client of 100 connections, whose queue it looks through
for each request that waits. A few thousand probes at once kept the event loop busy for minutes, and mail with it.
"""

from collections.abc import Awaitable, Callable

from kserve import ModelRepository
from kserve.protocol.dataplane import DataPlane

IsReady = Callable[[], Awaitable[bool]]


class ProbedDataPlane(DataPlane):  # type: ignore[misc]
    """The SDK's answers to probes of either protocol, with a question of ours in place of its own.

    Args:
        model_registry: The models of the server.
        is_ready: Whether what they need beside themselves is ready.
    """

    def __init__(self, model_registry: ModelRepository, is_ready: IsReady) -> None:
        super().__init__(model_registry)
        self._is_ready = is_ready

    async def ready(self) -> bool:
        """Whether there are models, all are ready, and so is what they need."""
        models = list(self.model_registry.get_models().values())
        return bool(models) and all(model.ready for model in models) and await self._is_ready()

    async def model_ready(self, model_name: str, disable_predictor_health_check: bool = False) -> bool:
        """Whether a model is ready, raises ModelNotFound; requests for inference ask for the model alone."""
        own: bool = await super().model_ready(model_name, disable_predictor_health_check=True)
        return own and (disable_predictor_health_check or await self._is_ready())
