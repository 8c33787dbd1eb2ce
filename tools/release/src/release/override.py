"""Threshold that an environment sets in Git, in place of its model's own."""

from pathlib import Path
from typing import Any

import yaml

from release.chart import ENVIRONMENTS
from release.errors import ReleaseError

PLACE = ("global", "model", "threshold")
FILES = ("values.yaml", "release.yaml")
"""Files of an environment, in the order in which Argo CD hands them to Helm: the last one that sets a value wins."""


def threshold_of(root: Path, environment: str) -> float | None:
    """Return the environment's threshold, or None if its model's own holds.

    Raises:
        ReleaseError: If a file is not YAML, or if the threshold is no number above 0 and below 1.
    """
    found: Any = None
    for name in FILES:
        path = root / ENVIRONMENTS / environment / name
        value = _value(path) if path.is_file() else None
        found = found if value is None else value
    if found is None:
        return None
    if not isinstance(found, int | float) or isinstance(found, bool) or not 0 < found < 1:
        raise ReleaseError(f"{environment}: {'.'.join(PLACE)} must be above 0 and below 1, is {found!r}")
    return float(found)


def _value(path: Path) -> Any:
    try:
        node: Any = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ReleaseError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    for key in PLACE:
        node = node.get(key) if isinstance(node, dict) else None
    return node
