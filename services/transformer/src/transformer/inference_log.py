"""Where answered mails are recorded for the drift detector: features and scores, never text."""

from collections.abc import Iterator
from typing import Any, Protocol

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from inferencelog import Limits, Rows, Writer, open_store
from transformer.settings import Settings


class InferenceLog(Protocol):
    """Takes rows without ever making a request wait or fail."""

    def append(self, rows: Rows) -> None:
        """Hand over the rows of one answered batch."""

    def close(self, patience_seconds: float) -> object:
        """Write what waits; nothing may be appended any more."""


class NoInferenceLog:
    """Keeps nothing: what runs while no log is configured."""

    def append(self, rows: Rows) -> None:
        """Drop them."""

    def close(self, patience_seconds: float) -> None:
        """Do nothing."""


class WriterMetrics(Collector):
    """The writer's counts, read when they are scraped."""

    def __init__(self, writer: Writer[Any]) -> None:
        self._writer = writer

    def collect(self) -> Iterator[Metric]:
        """The metrics as they stand."""
        stats = self._writer.stats
        name = "inference_log_rows"
        yield CounterMetricFamily(f"{name}_written", "Rows that are in the store.", stats.written)
        yield CounterMetricFamily(f"{name}_dropped", "Rows lost to a store away for too long.", stats.dropped)
        yield GaugeMetricFamily(f"{name}_waiting", "Rows that are not in the store yet.", stats.waiting)
        yield CounterMetricFamily("inference_log_write_failures", "Writes the store did not take.", stats.failures)


def open_inference_log(settings: Settings) -> InferenceLog:
    """The log that the settings name, with its metrics, or none."""
    if not settings.inference_log_uri:
        return NoInferenceLog()
    limits = Limits(
        flush_seconds=settings.inference_log_flush_seconds,
        flush_rows=settings.inference_log_flush_rows,
        buffer_rows=settings.inference_log_buffer_rows,
    )
    writer = Writer(open_store(settings.inference_log_uri), settings.environment, limits)
    REGISTRY.register(WriterMetrics(writer))
    return writer
