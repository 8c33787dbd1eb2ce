"""Prometheus client for the needed part of its API (https://prometheus.io/docs/prometheus/latest/querying/api/)."""

import math
from datetime import datetime
from http.client import HTTPException
from typing import Annotated
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

from pydantic import BaseModel, Field, ValidationError

from evidence.errors import EvidenceError
from inferencelog import one_line
from release.faults import first_fault

TIMEOUT_SECONDS = 30.0
ANSWER_BYTES = 32 * 1024 * 1024
"""Most bytes of an answer; 11,000 points take less than one megabyte."""
SERIES = 1_000
"""Most series of an answer."""

Labels = dict[str, str]


Sample = tuple[float, Annotated[str, Field(max_length=64)]]
"""Time in seconds since 1970, and value as text."""


class _Series(BaseModel):
    metric: dict[str, str]
    value: Sample = (0.0, "nan")
    values: list[Sample] = []


class _Data(BaseModel):
    result: Annotated[list[_Series], Field(max_length=SERIES)]


class _Answer(BaseModel):
    data: _Data


class PrometheusError(Exception):
    """Error for a Prometheus that does not answer, or that refuses the query."""


class Prometheus:
    """Prometheus server, or another that speaks its API."""

    def __init__(self, url: str) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
            raise EvidenceError(f"PROMETHEUS_URL {url!r} must be http://host or https://host, with any port and path")
        self._url = url.rstrip("/")

    def at(self, query: str, time: datetime) -> list[tuple[Labels, float]]:
        """Return the series and their values at a time.

        Raises:
            PrometheusError: If there is no answer.
        """
        found = self._ask("query", query=query, time=f"{time.timestamp():.3f}")
        series = [(each.metric, _number(each.value[1])) for each in found]
        if not all(math.isfinite(value) and value >= 0 for _, value in series):
            raise PrometheusError(f"{self._url} answers with a count that is negative or no finite number")
        return series

    def over(self, query: str, start: datetime, end: datetime, step: int) -> list[dict[float, float]]:
        """Return value by time (seconds since 1970) for each series, at every step of seconds that has a value.

        Raises:
            PrometheusError: If there is no answer.
        """
        times = {"start": f"{start.timestamp():.3f}", "end": f"{end.timestamp():.3f}"}
        found = self._ask("query_range", query=query, step=str(step), **times)
        series = [{time: _number(value) for time, value in each.values} for each in found]
        # A value that is not finite says nothing, so it counts as a missing sample.
        return [{time: value for time, value in each.items() if math.isfinite(value)} for each in series]

    def _ask(self, what: str, **parameters: str) -> list[_Series]:
        url = f"{self._url}/api/v1/{what}?{urlencode(parameters)}"
        try:
            with urlopen(url, timeout=TIMEOUT_SECONDS) as response:
                content = response.read(ANSWER_BYTES + 1)
            if len(content) > ANSWER_BYTES:
                raise PrometheusError(f"{self._url} answers with more than {ANSWER_BYTES:,} bytes")
            return _Answer.model_validate_json(content).data.result
        except HTTPError as error:
            said = one_line(error.read(500).decode(errors="replace"))
            raise PrometheusError(f"{self._url} refuses the query: HTTP {error.code} {said}") from error
        except ValidationError as error:
            why = first_fault(error)
            raise PrometheusError(f"{self._url} does not answer as Prometheus does: {why}") from error
        except (OSError, HTTPException) as error:
            raise PrometheusError(f"{self._url} does not answer: {one_line(error)}") from error


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
