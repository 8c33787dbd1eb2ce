"""Rules and dashboards of the chart, as tests and Prometheus see them."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "model-serving"
ENVIRONMENTS = sorted(path.parent.name for path in ROOT.glob("environments/*/values.yaml"))
DASHBOARDS = sorted(CHART.glob("dashboards/*.json"))
QUERY = re.compile(r'query\s+"((?:\\.|[^"\\])*)"')

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Expression:
    """Expression and its place."""

    place: str
    text: str


def tool(name: str) -> str:
    """Return the path of a command that `make` has put into .tools, or of the machine's own."""
    path = f"{ROOT / '.tools' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return shutil.which(name, path=path) or pytest.skip(f"needs {name}: install Go and run `make test` again")


@cache
def rendered(environment: str, values: str = "") -> list[Object]:
    """Return all objects of an environment.

    Args:
        values: YAML that is applied before the environment's own values.
    """
    files = [ROOT / "environments" / environment / name for name in ("values.yaml", "release.yaml")]
    options = [option for file in files for option in ("--values", str(file))]
    command = [tool("helm4"), "template", "model-serving", str(CHART), *options, "--values", "-"]
    done = subprocess.run(command, input=values, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [found for found in yaml.safe_load_all(done.stdout) if found]


def of_kind(objects: list[Object], kind: str) -> list[Object]:
    """Return the objects of a kind."""
    return [each for each in objects if each["kind"] == kind]


def rules(environment: str, values: str = "") -> list[Object]:
    """Return the rules of an environment, whatever their group."""
    return [rule for group in groups(environment, values) for rule in group["rules"]]


def groups(environment: str, values: str = "") -> list[Object]:
    """Return the groups of an environment's only PrometheusRule."""
    (found,) = of_kind(rendered(environment, values), "PrometheusRule")
    wanted: list[Object] = found["spec"]["groups"]
    return wanted


def default_monitoring() -> str:
    """Return the chart's own values of `monitoring`, to be applied after an environment's."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    return yaml.safe_dump({"monitoring": values["monitoring"]})


def rule_expressions(environment: str) -> Iterator[Expression]:
    """Yield the expressions of all rules, and the queries in the texts of alerts."""
    for rule in rules(environment):
        place = f"{environment}: {rule.get('alert') or rule['record']}"
        yield Expression(place, rule["expr"])
        for text in rule.get("annotations", {}).values():
            for query in QUERY.findall(text):
                yield Expression(place, query.replace('\\"', '"'))


def panels(dashboard: Path) -> list[Object]:
    """Return all panels except rows; rows contain none, because they are open."""
    found = json.loads(dashboard.read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def panel_expressions(dashboard: Path, **variables: str) -> Iterator[Expression]:
    """Yield the expressions of all panels, as Grafana sends them.

    Args:
        variables: Values of the dashboard's variables, as regular expressions; others match everything.
    """
    for panel in panels(dashboard):
        for target in panel["targets"]:
            text = target["expr"].replace("$__rate_interval", "5m")
            filled = re.sub(r"\$(\w+)", lambda match: variables.get(match[1], ".+"), text)
            yield Expression(f"{dashboard.name}: {panel['title']} {target['refId']}", filled)
