"""Tests of rendering: both versions of Helm render what was reviewed, and linters find no fault in the chart."""

import os
import subprocess
from pathlib import Path

import pytest

from chart.golden import stale
from chart.manifests import CHART, ROOT, Case, each_case, none_of, rendered, text, tool

VERSIONS = {"helm3": "v3.22", "helm4": "v4.3"}
CHARTS = [CHART, *sorted(path.parent for path in CHART.glob("charts/*/Chart.yaml"))]
PYTHON = ROOT / "tests" / "system" / ".venv" / "bin"
CT = ROOT / "tests" / "chart" / "ct"
# Workflows have a style of their own, and templates are not YAML.
YAML = [
    *ROOT.glob("environments/*/*.yaml"),
    *ROOT.glob("argocd/*.yaml"),
    *(path for path in CHART.rglob("*.yaml") if "templates" not in path.parts),
]


@each_case
def test_helm_3_and_4_render_the_same(case: Case) -> None:
    assert rendered(case, "helm3") == rendered(case, "helm4")


@each_case
def test_rendering_again_gives_the_same(case: Case) -> None:
    """Anything random or a time of day would be a permanent difference for Argo CD."""
    first = text(case)
    text.cache_clear()
    assert text(case) == first


@pytest.mark.parametrize(("helm", "version"), VERSIONS.items())
def test_helm_is_of_the_version_that_is_meant(helm: str, version: str) -> None:
    done = subprocess.run([tool(helm), "version", "--short"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(version)


def test_environments_render_as_reviewed() -> None:
    none_of(stale())


def run(*command: str | Path, path: str = "") -> None:
    environ = {**os.environ, "PATH": f"{path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("helm", VERSIONS)
def test_ct_finds_nothing_to_say(tmp_path: Path, helm: str) -> None:
    """This equals `make lint-chart`; ct starts whatever is called helm, and Python's yamale and yamllint."""
    (tmp_path / "helm").symlink_to(tool(helm))
    path = os.pathsep.join([str(tmp_path), str(PYTHON)])
    run(tool("ct"), "lint", "--config", CT / "ct.yaml", path=path)


def test_yaml_is_tidy() -> None:
    run(PYTHON / "yamllint", "--strict", "-c", CT / "lintconf.yaml", *YAML)


def test_every_subchart_has_suites_and_a_schema() -> None:
    for chart in CHARTS:
        assert list(chart.glob("tests/*_test.yaml")), chart.name
        assert (chart / "values.schema.json").exists(), chart.name
