"""Rendered manifests of every environment and of every file in the chart's `ci` folder."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "model-serving"
LIBRARIES = ROOT / "libs"
SERVICES = ROOT / "services"
HELMS = ("helm3", "helm4")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Object = dict[str, Any]


class Key(NamedTuple):
    """Identity of a rendered object."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Case:
    """Values files that make one release."""

    name: str
    environment: str
    files: tuple[Path, ...]

    @property
    def values(self) -> Object:
        """Return the values of the files, without the chart's own."""
        merged: Object = {}
        for path in self.files:
            merge(merged, yaml.safe_load(path.read_text()))
        return merged

    def value(self, *keys: str) -> Any:
        """Return a value of the release, or the chart's own if the files do not set it."""
        own = at(self.values, keys)
        return at(chart_values(), keys) if own is None else own

    @property
    def namespaces(self) -> dict[str, str]:
        """Return the namespaces of serving, models and monitoring: the design's names, unless a file sets others."""
        serving = "serving" if self.environment == "production" else f"serving-{self.environment}"
        places = {"serving": serving, "models": "kserve", "monitoring": "monitoring"}
        return {**places, **self.values["global"].get("namespaces", {})}

    @property
    def suffix(self) -> str:
        return "" if self.environment == "production" else f"-{self.environment}"


def at(values: Any, keys: tuple[str, ...]) -> Any:
    """Return the value under keys; None if there is none."""
    for key in keys:
        values = values.get(key) if isinstance(values, dict) else None
    return values


def merge(into: Object, more: Object) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


@cache
def chart_values() -> Object:
    """Return the values of the chart, with its subcharts' under their names."""
    found: Object = {path.parent.name: yaml.safe_load(path.read_text()) for path in CHART.glob("charts/*/values.yaml")}
    merge(found, yaml.safe_load((CHART / "values.yaml").read_text()))
    return found


def environments() -> list[Case]:
    folders = sorted(path.parent for path in ROOT.glob("environments/*/values.yaml"))
    return [case(folder.name, folder / "values.yaml", folder / "release.yaml") for folder in folders]


def ci_cases() -> list[Case]:
    return [case(f"ci-{path.stem}", path) for path in sorted(CHART.glob("ci/*.yaml"))]


def case(name: str, *files: Path) -> Case:
    return Case(name, yaml.safe_load(files[0].read_text())["global"]["environment"], files)


ENVIRONMENTS = environments()
CASES = ENVIRONMENTS + ci_cases()

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
each_environment = pytest.mark.parametrize("case", ENVIRONMENTS, ids=lambda case: case.name)


def tool(name: str) -> str:
    """Return the path of a command that `make` has put into .tools, or of the machine's own."""
    path = f"{ROOT / '.tools' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return shutil.which(name, path=path) or pytest.skip(f"needs {name}: install Go and run `make test` again")


def template(case: Case, helm: str = "helm4", values: str = "") -> subprocess.CompletedProcess[str]:
    """Run `helm template` and return its result.

    Args:
        values: YAML that is applied after the case's own values.
    """
    options = [option for path in case.files for option in ("--values", str(path))]
    command = [tool(helm), "template", f"model-serving-{case.environment}", str(CHART), *options, "--values", "-"]
    return subprocess.run(command, input=values, capture_output=True, text=True, check=False)


@cache
def text(case: Case, helm: str = "helm4") -> str:
    done = template(case, helm)
    assert done.returncode == 0, f"{case.name} does not render: {done.stderr}"
    return done.stdout


@cache
def rendered(case: Case, helm: str = "helm4") -> list[Object]:
    """Return all objects of a case; the result is shared, so do not change it."""
    return [found for found in yaml.load_all(text(case, helm), Loader=LOADER) if found]


def key(found: Object) -> Key:
    return Key(found["kind"], found["metadata"].get("namespace", ""), found["metadata"]["name"])


def of_kind(case: Case, *kinds: str) -> list[Object]:
    return [found for found in rendered(case) if found["kind"] in kinds]


def named(case: Case, kind: str, name: str) -> Object:
    """Return the only object of a kind and name."""
    found = [each for each in of_kind(case, kind) if each["metadata"]["name"] == name]
    assert len(found) == 1, f"{case.name} has {len(found)} {kind} {name}"
    return found[0]


def strings(found: Any) -> Iterator[str]:
    """Yield all texts inside a value."""
    if isinstance(found, str):
        yield found
    elif isinstance(found, dict | list):
        for inner in found.values() if isinstance(found, dict) else found:
            yield from strings(inner)


def none_of(faults: Iterable[str]) -> None:
    """Fail with all faults at once."""
    found = list(faults)
    assert not found, "\n".join(["", *found])
