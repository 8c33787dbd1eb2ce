"""Tests of alerts: they fire when they must and are otherwise silent, as promtool computes them, and say what to do."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart import monitoring
from chart.monitoring import CHART, ENVIRONMENTS, tool

UNIT_TESTS = sorted((Path(__file__).parent / "alerts").glob("*_test.yaml"))
RUNBOOKS = CHART / "runbooks"


def promtool(*arguments: str) -> str:
    done = subprocess.run([tool("promtool"), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write_rules(folder: Path, groups: list[dict[str, Any]], name: str = "rules") -> Path:
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump({"groups": groups}))
    return file


def names(environment: str) -> dict[str, str]:
    """Return the values of ${names} in the unit tests."""
    rules = monitoring.rules(environment, monitoring.default_monitoring())
    (info,) = (rule["labels"] for rule in rules if rule.get("record") == "environment:model_serving:info")
    found = yaml.safe_load(monitoring.default_monitoring())["monitoring"]["rules"]
    fixed = {"predictorNamespace": "kserve", "runbooks": found["runbooks"]}
    return {**info, **found["severities"], **fixed}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_rules_parse(environment: str, tmp_path: Path) -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", str(write_rules(tmp_path, monitoring.groups(environment))))


@pytest.mark.parametrize("dashboard", monitoring.DASHBOARDS, ids=lambda path: path.stem)
def test_panels_parse(dashboard: Path, tmp_path: Path) -> None:
    asked = [
        {"record": f"panel:{n}", "expr": each.text} for n, each in enumerate(monitoring.panel_expressions(dashboard))
    ]
    promtool("check", "rules", str(write_rules(tmp_path, [{"name": dashboard.stem, "rules": asked}])))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("unit_test", UNIT_TESTS, ids=lambda path: path.stem)
def test_alerts(unit_test: Path, environment: str, tmp_path: Path) -> None:
    """The tests use the chart's own objectives and times, from which an environment's may differ.

    Each group has its own file, so that a unit test evaluates only the rules that it is about.
    """
    for group in monitoring.groups(environment, monitoring.default_monitoring()):
        write_rules(tmp_path, [group], group["name"].removeprefix(f"model-serving-{environment}-"))
    text = unit_test.read_text()
    for name, value in names(environment).items():
        text = text.replace(f"${{{name}}}", value)
    assert "${" not in text
    file = tmp_path / unit_test.name
    file.write_text(text)
    promtool("test", "rules", str(file))


def alerts(environment: str) -> list[dict[str, Any]]:
    return [rule for rule in monitoring.rules(environment, monitoring.default_monitoring()) if "alert" in rule]


def test_every_alert_is_seen_to_fire_and_to_keep_silent() -> None:
    fired, silent = set(), set()
    for case in (case for file in UNIT_TESTS for case in yaml.safe_load(file.read_text())["tests"]):
        for check in case["promql_expr_test"]:
            for alert in re.findall(r'ALERTS\{alertname="(\w+)"', check["expr"]):
                (fired if check.get("exp_samples") else silent).add(alert)
    wanted = {alert["alert"] for alert in alerts("production")}
    assert (wanted - fired, wanted - silent) == (set(), set())


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_alert_says_whom_what_and_where_to_read_on(environment: str) -> None:
    severities = yaml.safe_load(monitoring.default_monitoring())["monitoring"]["rules"]["severities"].values()
    for alert in alerts(environment):
        assert alert["labels"]["environment"] == environment
        assert alert["labels"]["severity"] in severities
        said = alert["annotations"]
        assert set(said) == {"summary", "description", "runbook_url"}
        assert said["summary"].endswith(".") and said["description"].endswith("."), alert["alert"]
        assert said["runbook_url"].endswith(f"/{alert['alert']}.md")


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    wanted = {alert["alert"] for alert in alerts("production")}
    assert {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"} == wanted
    index = (RUNBOOKS / "README.md").read_text()
    for name in wanted:
        text = (RUNBOOKS / f"{name}.md").read_text()
        assert re.findall(r"^#+ (.*)$", text, re.MULTILINE) == [name, "Meaning", "Impact", "Diagnosis", "Mitigation"]
        assert f"[{name}]({name}.md)" in index


def test_runbooks_link_to_files_that_are_there() -> None:
    for path in RUNBOOKS.glob("*.md"):
        for target in re.findall(r"\]\(([^)]+)\)", path.read_text()):
            assert (RUNBOOKS / target).is_file(), f"{path.name} links to {target}"


def test_runbooks_name_only_objects_that_the_chart_makes() -> None:
    """The objects are `kubectl … deployment/name`, `cronjob/name` and `svc/name` of production."""
    kinds = {"deployment": "Deployment", "cronjob": "CronJob", "svc": "Service"}
    made = {(each["kind"], each["metadata"]["name"]) for each in monitoring.rendered("production")}
    made.add(("Deployment", "spam-detector-predictor"))  # made by KServe
    text = "\n".join(path.read_text() for path in RUNBOOKS.glob("*.md"))
    named = set(re.findall(r"\b(deployment|cronjob|svc)[/ ]([a-z]+-[a-z-]+)", text))
    assert {(kinds[kind], name) for kind, name in named} <= made
    assert len(named) > 4
