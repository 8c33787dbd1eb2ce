"""The chart, rendered for an environment by helm."""

import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from release.errors import ReleaseError

CHART = "charts/model-serving"
ENVIRONMENTS = "environments"


class RenderError(ReleaseError):
    """helm has refused the values, or the chart is wrong."""


class Key(NamedTuple):
    """What tells one object from all others."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """As people write it: `Service serving/api-gateway`."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


Objects = dict[Key, dict[str, Any]]


def environments(root: Path) -> list[str]:
    """Names of the environments that a tree has."""
    return sorted(path.parent.name for path in (root / ENVIRONMENTS).glob("*/release.yaml"))


def release_path(environment: str) -> str:
    """An environment's release file, from the root of the tree."""
    return f"{ENVIRONMENTS}/{environment}/release.yaml"


def check_environment(root: Path, environment: str) -> None:
    """Refuse an environment that a tree does not have.

    Raises:
        ReleaseError: It has no release file.
    """
    known = environments(root)
    if environment not in known:
        raise ReleaseError(f"there is no environment {environment!r}; known: {', '.join(known) or 'none'}")


def find_helm(root: Path) -> str:
    """The helm that make has set up, under the name that tells it from Helm 3, or the one on the PATH.

    Raises:
        ReleaseError: There is none.
    """
    helm = shutil.which("helm4", path=str(root / ".tools/bin")) or shutil.which("helm4") or shutil.which("helm")
    if not helm:
        raise ReleaseError("helm is missing; make render sets it up where there is Go, or install Helm 4")
    return helm


def render(helm: str, root: Path, environment: str, release: Path | None = None) -> str:
    """An environment's manifests, as Argo CD renders them.

    Args:
        helm: The helm command.
        root: Of the tree with chart and environments.
        environment: One that the tree has.
        release: In place of the environment's own release file.

    Raises:
        RenderError: helm refuses; the message is the chart's.
    """
    values = [root / ENVIRONMENTS / environment / "values.yaml", release or root / release_path(environment)]
    command = [helm, "template", f"model-serving-{environment}", str(root / CHART)]
    for path in values:
        command += ["--values", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RenderError(f"{environment} does not render: {done.stderr.strip()}")
    return done.stdout


def parse(manifests: str) -> Objects:
    """The objects of rendered manifests, sorted.

    Raises:
        RenderError: Two objects have the same kind, namespace and name: one would overwrite the other.
    """
    objects: Objects = {}
    # The C parser: dashboards make these files large.
    for found in yaml.load_all(manifests, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if found:
            key = _key(found)
            if key in objects:
                raise RenderError(f"{key} is rendered twice; give one of them another name")
            objects[key] = found
    return dict(sorted(objects.items()))


def _key(found: dict[str, Any]) -> Key:
    metadata = found["metadata"]
    return Key(found["kind"], metadata.get("namespace", ""), metadata["name"])
