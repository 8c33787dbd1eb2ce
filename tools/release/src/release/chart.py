"""Chart of an environment, rendered by helm."""

import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from release.errors import ReleaseError

CHART = "charts/model-serving"
ENVIRONMENTS = "environments"


class RenderError(ReleaseError):
    """Error for values that helm refuses, or for a chart that is wrong."""


class Key(NamedTuple):
    """Identity of a rendered object."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """Return the key as people write it: `Service serving/api-gateway`."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


Objects = dict[Key, dict[str, Any]]


def environments(root: Path) -> list[str]:
    """Return the names of the environments in a tree."""
    return sorted(path.parent.name for path in (root / ENVIRONMENTS).glob("*/release.yaml"))


def release_path(environment: str) -> str:
    """Return the path of an environment's release file from the root of the tree."""
    return f"{ENVIRONMENTS}/{environment}/release.yaml"


def check_environment(root: Path, environment: str) -> None:
    """Refuse an environment that a tree does not have.

    Raises:
        ReleaseError: If the environment has no release file.
    """
    known = environments(root)
    if environment not in known:
        raise ReleaseError(f"there is no environment {environment!r}; known: {', '.join(known) or 'none'}")


def find_helm(root: Path) -> str:
    """Return the helm that make has set up, or the one on the PATH; the name `helm4` tells it from Helm 3.

    Raises:
        ReleaseError: If there is none.
    """
    helm = shutil.which("helm4", path=str(root / ".tools/bin")) or shutil.which("helm4") or shutil.which("helm")
    if not helm:
        raise ReleaseError("helm is missing; make render sets it up where there is Go, or install Helm 4")
    return helm


def render(helm: str, root: Path, environment: str, release: Path | None = None) -> str:
    """Return an environment's manifests, as Argo CD renders them.

    Args:
        helm: Path of the helm command.
        root: Root of the tree with chart and environments.
        environment: Environment in the tree.
        release: Release file to use instead of the environment's own.

    Raises:
        RenderError: If helm refuses; the message is the chart's.
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
    """Return the objects of rendered manifests, sorted.

    Raises:
        RenderError: If two objects have the same kind, namespace and name; one would overwrite the other.
    """
    objects: Objects = {}
    # Use the C parser if it is there: dashboards make these files large.
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
