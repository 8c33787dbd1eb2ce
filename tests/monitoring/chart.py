"""The chart's rules and dashboards as tests and Prometheus see them."""

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
    """An expression and where it stands."""

    place: str
    text: str


def tool(name: str) -> str:
    """A command that `make` has put into .tools, else the machine's own."""
    path = f"{ROOT / '.tools' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return shutil.which(name, path=path) or pytest.skip(f"needs {name}: install Go and run `make test` again")


@cache
def rendered(environment: str, values: str = "") -> list[Object]:
    """All objects of an environment.

    Args:
        values: YAML that goes before the environment's own.
    """
    files = [ROOT / "environments" / environment / name for name in ("values.yaml", "release.yaml")]
    options = [option for file in files for option in ("--values", str(file))]
    command = [tool("helm4"), "template", "model-serving", str(CHART), *options, "--values", "-"]
    done = subprocess.run(command, input=values, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [found for found in yaml.safe_load_all(done.stdout) if found]


def of_kind(objects: list[Object], kind: str) -> list[Object]:
    """The objects of a kind."""
    return [each for each in objects if each["kind"] == kind]


def rules(environment: str, values: str = "") -> list[Object]:
    """The rules of an environment, whatever their group."""
    return [rule for group in groups(environment, values) for rule in group["rules"]]


def groups(environment: str, values: str = "") -> list[Object]:
    """The groups of an environment's one PrometheusRule."""
    (found,) = of_kind(rendered(environment, values), "PrometheusRule")
    wanted: list[Object] = found["spec"]["groups"]
    return wanted


def default_monitoring() -> str:
    """The chart's own values of `monitoring`, to be put after an environment's."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    return yaml.safe_dump({"monitoring": values["monitoring"]})


def rule_expressions(environment: str) -> Iterator[Expression]:
    """The expressions of all rules, and the queries in what alerts say."""
    for rule in rules(environment):
        place = f"{environment}: {rule.get('alert') or rule['record']}"
        yield Expression(place, rule["expr"])
        for text in rule.get("annotations", {}).values():
            for query in QUERY.findall(text):
                yield Expression(place, query.replace('\\"', '"'))


def panels(dashboard: Path) -> list[Object]:
    """All panels but rows; rows hold none, since they are open."""
    found = json.loads(dashboard.read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def panel_expressions(dashboard: Path, **variables: str) -> Iterator[Expression]:
    """The expressions of all panels, as Grafana asks them.

    Args:
        variables: Values of the dashboard's variables, regular expressions; those not named match everything.
    """
    for panel in panels(dashboard):
        for target in panel["targets"]:
            text = target["expr"].replace("$__rate_interval", "5m")
            filled = re.sub(r"\$(\w+)", lambda match: variables.get(match[1], ".+"), text)
            yield Expression(f"{dashboard.name}: {panel['title']} {target['refId']}", filled)
