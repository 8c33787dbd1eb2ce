"""Scenario: Prometheus scrapes every target, and has data for every panel and every rule of the chart."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster import find
from conftest import System
from prometheus import Prometheus
from settings import INFERENCE_SERVICES, MODELS, MONITORING, NAMESPACES, ROOT
from waiting import Pending, until

pytestmark = pytest.mark.usefixtures("settled")

SCRAPED_SECONDS = 60
DATA_SECONDS = 30
DASHBOARDS = sorted((ROOT / "charts" / "model-serving" / "dashboards").glob("*.json"))
PODS = [(namespace, app) for namespace in NAMESPACES.values() for app in ("api-gateway", "feature-transformer")]
PODS += [(MODELS, f"isvc.{name}-predictor") for name in INFERENCE_SERVICES.values()]


@pytest.mark.parametrize(("namespace", "app"), PODS)
def test_every_pod_is_scraped(system: System, prometheus: Prometheus, namespace: str, app: str) -> None:
    def scraped() -> None:
        wanted = {pod["metadata"]["name"] for pod in find("pods", namespace, f"app={app}")}
        up = {target["labels"].get("pod") for target in prometheus.targets() if target["health"] == "up"}
        if not wanted or not wanted <= up:
            raise Pending(f"not up: {wanted - up}")

    until(f"pods of {app} in {namespace} are scraped", scraped, SCRAPED_SECONDS)


def test_every_monitor_has_targets_and_all_are_up(system: System, prometheus: Prometheus) -> None:
    monitors = [
        f"{kind}/{each['metadata']['namespace']}/{each['metadata']['name']}"
        for kind, plural in (("serviceMonitor", "servicemonitors"), ("podMonitor", "podmonitors"))
        for namespace in (*NAMESPACES.values(), MODELS, MONITORING)
        for each in find(plural, namespace)
    ]
    assert len(monitors) >= 6

    def up() -> None:
        targets = prometheus.targets()
        for monitor in monitors:
            found = [target for target in targets if target["scrapePool"].startswith(f"{monitor}/")]
            down = [target["scrapeUrl"] for target in found if target["health"] != "up"]
            if not found or down:
                raise Pending(f"{monitor}: {len(found)} targets, down: {down}")

    until("the targets of all monitors are up", up, SCRAPED_SECONDS)


def test_rules_are_loaded_and_work(system: System, prometheus: Prometheus) -> None:
    loaded = {rule["name"]: rule for rule in prometheus.rules()}
    written = [
        rule.get("alert") or rule["record"]
        for found in find("prometheusrules", MONITORING, "app.kubernetes.io/part-of=model-serving")
        for group in found["spec"]["groups"]
        for rule in group["rules"]
    ]
    assert len(written) > 20
    assert not set(written) - loaded.keys()
    assert not [name for name in written if loaded[name]["health"] != "ok"]


def panel_queries(dashboard: Path) -> Iterator[Any]:
    """Yield title and expression of each query, as Grafana sends them for all environments."""
    for panel in json.loads(dashboard.read_text())["panels"]:
        for target in panel.get("targets", []):
            text = target["expr"].replace("$__rate_interval", "30m")
            yield pytest.param(re.sub(r"\$\w+", ".+", text), id=f"{dashboard.stem}: {panel['title']} {target['refId']}")


@pytest.mark.parametrize("expression", [query for dashboard in DASHBOARDS for query in panel_queries(dashboard)])
def test_panel_has_data(system: System, prometheus: Prometheus, expression: str) -> None:
    def data() -> None:
        if not prometheus.query(expression):
            raise Pending("no series")

    until(f"data for {' '.join(expression.split())[:120]}", data, DATA_SECONDS)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_dashboard_is_where_grafana_looks(system: System, dashboard: Path) -> None:
    found = find("configmaps", MONITORING, "grafana_dashboard=1")
    content = [json.loads(text) for each in found for name, text in each["data"].items() if name == dashboard.name]
    assert content == [json.loads(dashboard.read_text())]
