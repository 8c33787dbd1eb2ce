"""Readiness of a model that depends on another server, without the SDK's client.

For each probe, the SDK asks the predictor again, through one client of 100 connections whose queue it scans for each
waiting request. A few thousand probes at once blocked the event loop for minutes, and mail with it.
"""

from collections.abc import Awaitable, Callable

from kserve import ModelRepository
from kserve.protocol.dataplane import DataPlane

IsReady = Callable[[], Awaitable[bool]]


class ProbedDataPlane(DataPlane):  # type: ignore[misc]
    """The SDK's answers to probes of both protocols, with our own check of the dependency.

    Args:
        model_registry: The models of the server.
        is_ready: Returns whether the models' dependencies are ready.
    """

    def __init__(self, model_registry: ModelRepository, is_ready: IsReady) -> None:
        super().__init__(model_registry)
        self._is_ready = is_ready

    async def ready(self) -> bool:
        """Return whether there are models, all are ready, and their dependencies are too."""
        models = list(self.model_registry.get_models().values())
        return bool(models) and all(model.ready for model in models) and await self._is_ready()

    async def model_ready(self, model_name: str, disable_predictor_health_check: bool = False) -> bool:
        """Return whether a model is ready. Inference requests check the model alone.

        Raises:
            ModelNotFound: The model is unknown.
        """
        own: bool = await super().model_ready(model_name, disable_predictor_health_check=True)
        return own and (disable_predictor_health_check or await self._is_ready())
