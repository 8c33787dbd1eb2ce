"""Tests that the version stands in one place, the root's `pyproject.toml`, and that everything else follows it."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

CHART = ROOT / "charts" / "model-serving"
PACKAGES = [
    path for folder in ("libs", "services", "tools") for path in sorted(ROOT.glob(f"{folder}/*/pyproject.toml"))
]


def version_of(project: Path) -> str:
    found: str = tomllib.loads(project.read_text())["project"]["version"]
    return found


def test_the_chart_and_the_changelog_have_the_version_of_the_project() -> None:
    version = version_of(ROOT / "pyproject.toml")
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    headings = re.findall(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert (chart["version"], chart["appVersion"], headings[0]) == (version, version, version)


@pytest.mark.parametrize("project", PACKAGES, ids=lambda path: path.parent.name)
def test_a_package_has_no_version_of_its_own(project: Path) -> None:
    assert version_of(project) == "0"


@pytest.mark.parametrize("chart", sorted(CHART.glob("charts/*/Chart.yaml")), ids=lambda path: path.parent.name)
def test_a_subchart_has_no_version_of_its_own(chart: Path) -> None:
    assert yaml.safe_load(chart.read_text())["version"] == "0.0.0"
