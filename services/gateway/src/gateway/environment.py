"""Environment: one of the places that can answer mail, such as staging or production."""

from gateway import metrics
from gateway.coalescer import Coalescer
from gateway.mails import PREDICTIONS
from gateway.queue import QueueLimits
from gateway.transformer_client import TransformerClient


class Environment:
    """An environment's name, transformer and coalescer, and the counts of its answers."""

    def __init__(self, transformer: TransformerClient, limits: QueueLimits) -> None:
        self.name = transformer.environment
        self.transformer = transformer
        """Client for requests that share no batch."""
        self.coalescer = Coalescer(transformer, limits)
        # The counters exist from the start: Prometheus sees no increase in a series that begins with its first event.
        self._predictions = {each: metrics.PREDICTIONS.labels(self.name, each) for each in PREDICTIONS}
        self._spam_probability = metrics.SPAM_PROBABILITY.labels(self.name)

    def count(self, prediction: str, probability: float) -> None:
        """Count an answered mail by verdict and spam probability."""
        if prediction not in self._predictions:
            self._predictions[prediction] = metrics.PREDICTIONS.labels(self.name, prediction)
        self._predictions[prediction].inc()
        self._spam_probability.observe(probability)
