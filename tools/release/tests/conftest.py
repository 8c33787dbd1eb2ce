"""Fixtures: a scratch repository with a small chart, two environments, and everything needed for a release."""

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from release.chart import find_helm
from release.cli import main
from release.errors import ReleaseError
from release.git import Git

ROOT = Path(__file__).parents[3]
"""Root of the repository that contains these tests."""


def digest(text: str) -> str:
    """Return a digest that could be an image's."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


RELEASE = """\
# Only pins are here.
global:
  model:
    uri: s3://models/spam-detector/{version}   # by make pin-model
    sha256: "{sha256}"
gateway:     {{image: {{digest: {gateway}}}}}
transformer: {{image: {{digest: '{transformer}'}}}}

predictor:
  image:
    digest: {predictor}
drift:
  image: {{digest: {drift}}}
  baseline: {{image: {{digest: {baseline}}}}}  # of the job
"""

TEMPLATE = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: api-gateway, namespace: serving}
spec: {image: "gateway@{{ .Values.gateway.image.digest }}", transformer: "{{ .Values.transformer.image.digest }}"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: model, namespace: kserve}
data:
  uri: {{ .Values.global.model.uri }}
  notes: |
    first
{{ .Values.notes | default "" | indent 4 }}
---
apiVersion: v1
kind: Secret
metadata: {name: store, namespace: kserve}
stringData: {key: {{ .Values.secret | quote }}}
{{- if .Values.extra }}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: {{ .Values.extra }}, namespace: serving}
{{- end }}
{{- if eq .Values.gateway.image.digest "" }}{{ fail "ERROR: no gateway.image.digest: run make pin-images" }}{{ end }}
"""


def release(version: str = "1", **digests: str) -> str:
    """Return a release file; each service's image is derived from its name unless a digest is given."""
    services = ("gateway", "transformer", "predictor", "drift", "baseline")
    return RELEASE.format(
        version=version,
        sha256=pinned(version),
        **{service: digests.get(service, digest(service)) for service in services},
    )


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def commit_all(root: Path, message: str) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", message)


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """Return a clone whose environments run version 1; it is the current directory."""
    root = tmp_path / "clone"
    root.mkdir()
    monkeypatch.chdir(root)
    # Ignore the user's git settings and any repository around this one.
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    # Use the helm of the tested repository, because this one has none.
    monkeypatch.setenv("PATH", f"{ROOT / '.tools/bin'}:{os.environ['PATH']}")
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "config", "user.name", "A")
    git(root, "config", "user.email", "a@example.org")
    chart = {"Chart.yaml": "{apiVersion: v2, name: model-serving, version: 0.1.0}", "templates/all.yaml": TEMPLATE}
    write(root, {f"charts/model-serving/{name}": content for name, content in chart.items()})
    for environment in ("staging", "production"):
        write(
            root / "environments" / environment,
            {"values.yaml": "{notes: second, secret: hush-1, extra: ''}", "release.yaml": release()},
        )
    commit_all(root, "Begin")
    return Git(root)


@pytest.fixture(scope="session")
def helm() -> str:
    try:
        return find_helm(ROOT)
    except ReleaseError as error:
        pytest.skip(str(error))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return a bundle of version 2 as the trainer writes it; its pickled content does not matter here."""
    return write_bundle(tmp_path / "models" / "spam-detector" / "2", METRICS)


def write_bundle(folder: Path, metrics: dict[str, float], model: bytes | None = None) -> Path:
    files = model_files(folder.name, model)
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "model.json").write_bytes(manifest(folder.name, metrics, files))
    return folder


def manifest(version: str, metrics: dict[str, float], files: dict[str, bytes]) -> bytes:
    content = {
        "name": "spam-detector",
        "version": version,
        "feature_schema_version": "1",
        "columns": ["text", "links"],
        "threshold": 0.9,
        "metrics": {**metrics, "by_fold": [1.0]},
        "libraries": {},
        "corpus": {},
        "files": {name: sha256(content) for name, content in files.items()},
    }
    return json.dumps(content).encode()


METRICS = {"one_minus_auc": 0.0003, "spam_caught": 0.95}


def model_files(version: str, model: bytes | None = None) -> dict[str, bytes]:
    return {"model.joblib": version.encode() if model is None else model, "baseline.parquet": b"rows"}


def pinned(version: str) -> str:
    """Return what `RELEASE` pins of a version: the digest of the `model.json` of its bundle."""
    return sha256(manifest(version, METRICS, model_files(version)))


class Command:
    """Command line whose output is kept."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> str:
        """Return the output of a command that must succeed."""
        assert main([*map(str, arguments)]) == 0, self._capsys.readouterr().err
        return self._capsys.readouterr().out

    def refusal(self, *arguments: str | Path) -> str:
        """Return the reason why a command is refused."""
        assert main([*map(str, arguments)]) == 1
        printed = self._capsys.readouterr()
        assert printed.out == ""
        return printed.err


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)
