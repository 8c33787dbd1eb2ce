"""Inference log: records answered mails for the drift detector, with features and scores but never text."""

from collections.abc import Iterator
from typing import Any, Generic, Protocol, TypeVar

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from inferencelog import Rows, ShadowChunk, ShadowRows, Stats, Writer, WriterLimits, open_shadow, open_store
from transformer.settings import TransformerSettings

R = TypeVar("R")
R_contra = TypeVar("R_contra", contravariant=True)


class InferenceLog(Protocol[R_contra]):
    """A log that takes rows and never makes a request wait or fail."""

    def append(self, rows: R_contra) -> None:
        """Append the rows of one answered batch."""

    def close(self, patience_seconds: float) -> Stats:
        """Write waiting rows, and return how many are lost; append nothing afterwards."""


class NoInferenceLog(Generic[R]):
    """An inference log that keeps nothing, used while none is configured."""

    def append(self, rows: R) -> None:
        """Drop the rows."""

    def close(self, patience_seconds: float) -> Stats:
        """Do nothing; nothing is lost."""
        return Stats()


class WriterMetrics(Collector):
    """Metrics of the writer, read when they are scraped."""

    def __init__(self, writer: Writer[Any], log: str = "inference_log") -> None:
        self._writer = writer
        self._log = log

    def collect(self) -> Iterator[Metric]:
        """Return the metrics as they stand."""
        stats = self._writer.stats
        name = f"{self._log}_rows"
        yield CounterMetricFamily(f"{name}_written", "Rows that are in the store.", stats.written)
        yield CounterMetricFamily(f"{name}_dropped", "Rows lost to a store away for too long.", stats.dropped)
        yield GaugeMetricFamily(f"{name}_waiting", "Rows that are not in the store yet.", stats.waiting)
        yield CounterMetricFamily(f"{self._log}_write_failures", "Writes the store did not take.", stats.failures)


def open_inference_log(settings: TransformerSettings) -> InferenceLog[Rows]:
    """Return the configured log and register its metrics, or return one that keeps nothing."""
    if not settings.inference_log_uri:
        return NoInferenceLog()
    limits = _limits(settings, settings.inference_log_buffer_rows)
    writer = Writer(open_store(settings.inference_log_uri), settings.environment, limits)
    REGISTRY.register(WriterMetrics(writer))
    return writer


def open_shadow_log(settings: TransformerSettings) -> InferenceLog[ShadowRows]:
    """Return the log of shadowed mails, in a folder of the inference log, or one that keeps nothing.

    It has its own metrics. The smallest buffer is enough, since the sender of shadowed mails drops some rather than
    wait.
    """
    if not settings.inference_log_uri:
        return NoInferenceLog()
    limits = _limits(settings, 2 * settings.inference_log_flush_rows)
    writer = Writer(open_shadow(settings.inference_log_uri), settings.environment, limits, buffer=ShadowChunk)
    REGISTRY.register(WriterMetrics(writer, "shadow_log"))
    return writer


def _limits(settings: TransformerSettings, buffer_rows: int) -> WriterLimits:
    return WriterLimits(
        flush_seconds=settings.inference_log_flush_seconds,
        flush_rows=settings.inference_log_flush_rows,
        buffer_rows=buffer_rows,
    )
