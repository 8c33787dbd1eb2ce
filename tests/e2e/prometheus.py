"""Prometheus client of the suite."""

import json
import urllib.parse
import urllib.request
from typing import Any

from waiting import Pending, until

REQUEST_SECONDS = 15


class Prometheus:
    """Prometheus server through its HTTP API, https://prometheus.io/docs/prometheus/latest/querying/api/."""

    def __init__(self, url: str) -> None:
        self._url = url

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that an expression has now."""
        found: list[dict[str, Any]] = self._get("query", query=expression)["result"]
        return found

    def value(self, expression: str) -> float:
        """Return the value of the only series that an expression has.

        Raises:
            Pending: If it has none yet, or many.
        """
        found = self.query(expression)
        if len(found) != 1:
            raise Pending(f"{len(found)} series of {expression}")
        return float(found[0]["value"][1])

    def targets(self) -> list[dict[str, Any]]:
        """Return the scrape targets and their state."""
        found: list[dict[str, Any]] = self._get("targets", state="active")["activeTargets"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        """Return all rules, whatever their group."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def firing(self, alert: str, environment: str) -> list[dict[str, Any]]:
        """Return the alerts of a name that fire for an environment."""
        found = self._get("alerts")["alerts"]
        wanted = {"alertname": alert, "environment": environment}
        return [each for each in found if each["state"] == "firing" and wanted.items() <= each["labels"].items()]

    def wait_firing(self, alert: str, environment: str, seconds: float) -> dict[str, Any]:
        """Wait until an alert fires, and return it."""

        def firing() -> dict[str, Any]:
            found = self.firing(alert, environment)
            if not found:
                raise Pending("it does not fire")
            return found[0]

        return until(f"alert {alert} of {environment} fires", firing, seconds)

    def _get(self, path: str, **parameters: str) -> Any:
        url = f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=REQUEST_SECONDS) as response:
            return json.load(response)["data"]
