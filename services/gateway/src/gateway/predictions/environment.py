"""Environment: one of the places that can answer mail, such as staging or production."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from contract.tensors import PREDICTIONS
from gateway.metrics import EnvironmentMetrics
from gateway.predictions.admission import Admission
from gateway.predictions.coalescer import Coalescer
from gateway.predictions.mails import Verdicts
from gateway.predictions.queue import Queue, QueueLimits
from gateway.predictions.transformer_client import TransformerClient


class Environment:
    """An environment's name, transformer, admission and coalescer, and the counts of its answers."""

    def __init__(self, transformer: TransformerClient, limits: QueueLimits, metrics: EnvironmentMetrics) -> None:
        self.name = transformer.environment
        self.transformer = transformer
        """Client for requests that share no batch."""

        def slots() -> int:
            return limits.batches_in_flight * transformer.replicas

        queue = Queue(limits)
        self.admission = Admission(self.name, queue, limits, slots, metrics)
        self.coalescer = Coalescer(transformer, queue, self.admission, limits, slots, metrics)
        # The counters exist from the start: Prometheus sees no increase in a series that begins with its first event.
        self._predictions = {each: metrics.answers.predictions.labels(self.name, each) for each in PREDICTIONS}
        self._spam_probability = metrics.answers.spam_probability.labels(self.name)
        self._threshold = metrics.answers.threshold
        self._model: tuple[str, float | None] = ("", None)

    def count(self, answers: Iterable[Verdicts]) -> None:
        """Count answered mails by verdict and spam probability."""
        for answer in answers:
            if (answer.model_version, answer.threshold) != self._model:
                self._show_threshold(answer)
            for prediction, probability in zip(answer.predictions, answer.probabilities, strict=True):
                self._predictions[prediction].inc()
                self._spam_probability.observe(probability)

    def _show_threshold(self, answer: Verdicts) -> None:
        """Show the threshold of the last answer, and forget that of an earlier model."""
        version, threshold = self._model
        if threshold is not None:
            self._threshold.remove(self.name, version)
        self._model = answer.model_version, answer.threshold
        if answer.threshold is not None:
            self._threshold.labels(self.name, answer.model_version).set(answer.threshold)


Ask = Callable[[Environment], Awaitable[list[Verdicts]]]
"""Asks an environment to answer a request; raises as `Coalescer.submit` and its futures."""


# Not frozen: that would cost a microsecond for each request.
@dataclass(slots=True)
class Predicted:
    """The answers to a request, and where they come from."""

    environment: Environment
    """The environment that answered."""
    answers: list[Verdicts]
    """One for each piece of the request, in order."""
    by_canary: bool = False
    """Whether a canary had the request, even if it failed and the environment that was asked for answered."""
