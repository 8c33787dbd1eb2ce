"""Tests that rules and dashboards name only metrics and labels that the running services expose."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from chart import monitoring
from chart.exporters import EXPORTERS, TARGET
from chart.monitoring import DASHBOARDS, ENVIRONMENTS, Expression
from chart.promql import named
from exposed import Metrics, exposed

Labels = dict[str, set[str]]
"""Labels by metric."""


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory, model: Path, mails: list[str]) -> dict[str, Metrics]:
    return exposed(tmp_path_factory.mktemp("exposed"), model, mails)


@pytest.fixture(scope="session")
def known(services: dict[str, Metrics]) -> Labels:
    """Return what may be named: metrics of the services, of exporters, and of our own recording rules."""
    found: Labels = {name: set(exporter.labels) for name, exporter in EXPORTERS.items()}
    for service, metrics in services.items():
        for name, labels in metrics.items():
            found.setdefault(name, set()).update(labels, TARGET, added_labels(service))
    for rule in (rule for environment in ENVIRONMENTS for rule in monitoring.rules(environment) if "record" in rule):
        found.setdefault(rule["record"], set()).update(rule["labels"])
    return found


def added_labels(service: str) -> set[str]:
    """Return the labels that the chart's monitors give their targets."""
    return {"environment"} if service in ("transformer", "predictor") else set()


def expressions() -> Iterator[Expression]:
    for environment in ENVIRONMENTS:
        yield from monitoring.rule_expressions(environment)
    for dashboard in DASHBOARDS:
        yield from monitoring.panel_expressions(dashboard)


def complaints(expression: Expression, known: Labels) -> Iterator[str]:
    found = named(expression.text)
    for metric, labels in found.metrics:
        if metric not in known:
            yield f"{expression.place}: nobody exposes {metric}"
        elif unknown := labels - known[metric]:
            yield f"{expression.place}: {metric} has no label {', '.join(sorted(unknown))}"
    joined = {label for metric, _ in found.metrics for label in known.get(metric, ())} | {"le"}
    for label in sorted(found.grouping - joined):
        yield f"{expression.place}: groups by {label}, which no metric in it has"


def test_rules_and_dashboards_name_only_what_is_exposed(known: Labels) -> None:
    asked = list(expressions())
    assert len(asked) > 100
    assert [complaint for expression in asked for complaint in complaints(expression, known)] == []


def test_matchers_name_values_that_occur(services: dict[str, Metrics]) -> None:
    """A misspelt handler, status or kind would match nothing, and nobody would notice."""
    gateway = services["gateway"]
    buckets = gateway["http_request_duration_seconds_bucket"]
    assert {"/api/v1/predict", "/api/v1/batch-predict"} <= buckets["handler"]
    assert {"200", "503", "504"} == buckets["status"]
    assert "0.25" in buckets["le"]
    assert {"connection", "not-ready", "timeout"} <= gateway["gateway_upstream_errors_total"]["kind"]
    assert gateway["gateway_environment_ready"]["environment"] == {"production", "staging"}
    assert gateway["gateway_predictions_total"]["prediction"] <= {"spam", "ham"}
    assert {"likely_spam", "predicted_spam", "spam_probability"} < services["drift"]["drift_statistic"]["feature"]
    assert services["drift"]["drift_detected"]["environment"] == {"production"}


def test_thresholds_may_be_any_bucket_of_the_histogram(services: dict[str, Metrics]) -> None:
    buckets = services["gateway"]["http_request_duration_seconds_bucket"]["le"] - {"+Inf"}
    template = (monitoring.CHART / "templates" / "_monitoring.tpl").read_text()
    (listed,) = (line for line in template.splitlines() if line.startswith("{{- $buckets := list"))
    assert {word.strip('"') for word in listed.split() if word.startswith('"')} == buckets


def test_every_exporter_is_needed_and_says_why() -> None:
    used = {metric for expression in expressions() for metric, _ in named(expression.text).metrics}
    assert set(EXPORTERS) <= used
    assert all(exporter.reason for exporter in EXPORTERS.values())


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_monitors_name_the_environment_of_what_does_not_name_it_itself(environment: str) -> None:
    """The gateway's own metrics already have that label, for the environment that a request was for."""
    objects = monitoring.rendered(environment)
    found = {}
    for monitor in monitoring.of_kind(objects, "ServiceMonitor") + monitoring.of_kind(objects, "PodMonitor"):
        (endpoint,) = monitor["spec"].get("endpoints") or monitor["spec"]["podMetricsEndpoints"]
        added = {each["targetLabel"]: each["replacement"] for each in endpoint.get("relabelings", ())}
        found[monitor["metadata"]["labels"]["app.kubernetes.io/component"]] = added.get("environment")
    assert found == {"gateway": None, "transformer": environment, "predictor": environment}


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("rate(no_such_total[5m])", "nobody exposes no_such_total"),
        ('sum(up{namespace="a"}) / on (pod) no_such', "nobody exposes no_such"),
        ('up{nmespace="serving", pod=~"up{x=.+"}', "up has no label nmespace"),
        ("sum by (kind) (up)", "groups by kind, which no metric in it has"),
        ("sum(up) without (team)", "groups by team, which no metric in it has"),
    ],
)
def test_what_is_not_there_is_found(expression: str, complaint: str) -> None:
    known = {name: set(exporter.labels) for name, exporter in EXPORTERS.items()}
    assert list(complaints(Expression("here", expression), known)) == [f"here: {complaint}"]


def test_words_of_the_language_are_no_metrics() -> None:
    text = 'topk(3, max by (a) (rate(x_bucket{le="+Inf"}[5m] offset 1h)) > bool 1e3)'
    text += " and on () absent(y:z == 1) or vector(0) unless 1"
    assert named(text).metrics == [("x_bucket", {"le"}), ("y:z", set())]
    assert named(text).grouping == {"a"}
