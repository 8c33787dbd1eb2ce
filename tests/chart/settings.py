"""Settings that each service reads from its environment, according to its source."""

import ast
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from chart.manifests import CHART, SERVICES

# Service whose process runs in each pod.
SERVICE = {
    "api-gateway": "gateway",
    "feature-transformer": "transformer",
    "spam-detector": "predictor",
    "drift-detector": "drift",
    "baseline-generator": "baseline",
}

# Variables of a command that no pod runs.
ELSEWHERE = {"CORPUS_DIR"}


@dataclass(frozen=True, slots=True)
class Field:
    """Environment variable that a service reads."""

    required: bool
    default: Any = None


@cache
def fields(app: str) -> dict[str, Field]:
    """Return the variables of an app by name."""
    if app == "smoke":
        script = (CHART / "files" / "smoke.py").read_text()
        found = dict.fromkeys(re.findall(r'os\.environ\["(\w+)"\]', script), Field(required=True))
        return found | dict.fromkeys(re.findall(r'os\.environ\.get\("(\w+)"\)', script), Field(required=False))
    source = SERVICES / SERVICE[app] / "src" / SERVICE[app]
    if (source / "settings.py").exists():
        return settings_fields(ast.parse((source / "settings.py").read_text()))
    found = [option_fields(ast.parse(path.read_text())) for path in source.glob("*.py")]
    return {name: field for each in found for name, field in each.items()}


def settings_fields(tree: ast.Module) -> dict[str, Field]:
    """Return the fields of the settings class, which are variables of the same names in capitals."""
    (settings,) = [
        node for node in tree.body if isinstance(node, ast.ClassDef) and "BaseSettings" in map(ast.unparse, node.bases)
    ]
    assigned = [node for node in settings.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)]
    return {node.target.id.upper(): field(node.value) for node in assigned if isinstance(node.target, ast.Name)}


def field(value: ast.expr | None) -> Field:
    """Return a field; it is required without a value, or with a `Field(…)` that has none."""
    if isinstance(value, ast.Call):
        value = value.args[0] if value.args else None
    if value is None:
        return Field(required=True)
    return Field(required=False, default=value.value if isinstance(value, ast.Constant) else None)


def option_fields(tree: ast.Module) -> dict[str, Field]:
    """Return the variables that options use as defaults: `_default("NAME")`, or `os.environ.get("NAME")`."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    readers = [(ast.unparse(call.func), call.args[0]) for call in calls]
    return {
        name.value: Field(required=reader == "_default" and name.value not in ELSEWHERE)
        for reader, name in readers
        if reader in ("_default", "os.environ.get") and isinstance(name, ast.Constant) and isinstance(name.value, str)
    }
