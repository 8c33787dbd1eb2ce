"""The part of Prometheus's HTTP API that is needed (https://prometheus.io/docs/prometheus/latest/querying/api/)."""

import json
from datetime import datetime
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

from evidence.errors import EvidenceError

TIMEOUT_SECONDS = 30.0

Labels = dict[str, str]


class PrometheusError(Exception):
    """It does not answer, or refuses the query."""


class Prometheus:
    """A Prometheus server, or what speaks its API."""

    def __init__(self, url: str) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
            raise EvidenceError(f"PROMETHEUS_URL {url!r} must be http://host or https://host, with any port and path")
        self._url = url.rstrip("/")

    def at(self, query: str, time: datetime) -> list[tuple[Labels, float]]:
        """Series and their values at a time.

        Raises:
            PrometheusError: There is no answer.
        """
        found = self._ask("query", query=query, time=f"{time.timestamp():.3f}")
        return [(each["metric"], float(each["value"][1])) for each in found]

    def over(self, query: str, start: datetime, end: datetime, step: int) -> list[dict[float, float]]:
        """For each series, time (seconds since 1970) -> value, at every step of seconds that has one.

        Raises:
            PrometheusError: There is no answer.
        """
        times = {"start": f"{start.timestamp():.3f}", "end": f"{end.timestamp():.3f}"}
        found = self._ask("query_range", query=query, step=str(step), **times)
        return [{float(time): float(value) for time, value in each["values"]} for each in found]

    def _ask(self, what: str, **parameters: str) -> list[dict[str, Any]]:
        url = f"{self._url}/api/v1/{what}?{urlencode(parameters)}"
        try:
            with urlopen(url, timeout=TIMEOUT_SECONDS) as response:
                result: list[dict[str, Any]] = json.load(response)["data"]["result"]
                return result
        except HTTPError as error:
            said = error.read(500).decode(errors="replace")
            raise PrometheusError(f"{self._url} refuses the query: HTTP {error.code} {said}") from error
        except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:
            raise PrometheusError(f"{self._url} does not answer: {error}") from error
