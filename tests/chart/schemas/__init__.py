"""JSON schemas for kubeconform, made from Kubernetes' OpenAPI document and the operators' CRDs.

Both come with Go modules and are read where Go keeps them. The schemas are written below `build`.
"""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.manifests import LOADER, ROOT, Object

HERE = Path(__file__).parent
KUBERNETES = "k8s.io/kubernetes"
CRDS = {
    "github.com/kserve/kserve": "config/crd/full/serving.kserve.io_*.yaml",
    "github.com/prometheus-operator/prometheus-operator": "example/prometheus-operator-crd/*.yaml",
    "github.com/argoproj/argo-cd/v3": "manifests/crds/*-crd.yaml",
    "sigs.k8s.io/gateway-api": "config/crd/standard/gateway.networking.k8s.io_*.yaml",
}
PREFIX = "#/definitions/"
METADATA = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
INT_OR_STRING = {"anyOf": [{"type": "integer"}, {"type": "string"}]}
# The document calls these types texts, but the API server also accepts them as numbers.
OPEN = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": INT_OR_STRING,
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]},
}
LOCATION = "{{ .ResourceKind }}-{{ .Group }}-{{ .ResourceAPIVersion }}.json"


# Read `=`, a comparison in the CRDs, as the text that it is.
Loader: Any = type("Loader", (LOADER,), {})
Loader.add_constructor("tag:yaml.org,2002:value", lambda _, node: node.value)


def folder() -> Path:
    """Return the folder of the schemas, which are made again when a version or this module changes."""
    made_of = b"".join(path.read_bytes() for path in (HERE / "go.mod", Path(__file__)))
    made = ROOT / "build" / "schemas" / hashlib.sha256(made_of).hexdigest()[:12]
    if not made.exists():
        shutil.rmtree(made.parent, ignore_errors=True)
        write(made)
    return made


def write(made: Path) -> None:
    """Write all schemas or none, so that an interrupted run leaves no part of them."""
    modules = download()
    partial = made.with_suffix(".partial")
    partial.mkdir(parents=True)
    definitions = strict_definitions(json.loads((modules[KUBERNETES] / "api/openapi-spec/swagger.json").read_text()))
    for kind, schema in [*core(definitions), *custom(modules, definitions)]:
        (partial / f"{kind}.json").write_text(json.dumps(schema))
    partial.rename(made)


def download() -> dict[str, Path]:
    """Return the folder of each module, checked against go.sum."""
    if not shutil.which("go"):
        pytest.skip("needs Go, with which Kubernetes' schemas and the CRDs come: install it and run `make test` again")
    command = ["go", "mod", "download", "-json", KUBERNETES, *CRDS]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"the modules of {HERE / 'go.mod'} cannot be had: {done.stderr}{done.stdout}"
    return {each["Path"]: Path(each["Dir"]) for each in json_stream(done.stdout)}


def json_stream(text: str) -> Iterator[Object]:
    decoder, start = json.JSONDecoder(), 0
    while start < len(text.rstrip()):
        found, end = decoder.raw_decode(text, start)
        yield found
        start = end + len(text[end:]) - len(text[end:].lstrip())


def strict_definitions(document: Object) -> Object:
    return {name: OPEN.get(name) or strict(schema) for name, schema in document["definitions"].items()}


def strict(schema: Object) -> Object:
    """Return a schema that refuses unknown fields, as the API server does with strict validation."""
    if schema.get("x-kubernetes-int-or-string"):
        return INT_OR_STRING
    closed = {name: value for name, value in schema.items() if name not in ("description", "default")}
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            closed[name] = strict(schema[name])
    if "properties" in schema:
        closed["properties"] = {name: strict(each) for name, each in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            closed.setdefault("additionalProperties", False)
    if schema.get("nullable"):
        closed["type"] = [schema["type"], "null"]
    return closed


def core(definitions: Object) -> Iterator[tuple[str, Object]]:
    """Yield Kubernetes' own kinds."""
    for name, schema in definitions.items():
        # Kinds that are part of others, such as DeleteOptions, belong to many groups.
        kinds = schema.get("x-kubernetes-group-version-kind", [])
        for kind in kinds if len(kinds) == 1 else []:
            yield file_name(kind["group"], kind["version"], kind["kind"]), whole({"$ref": PREFIX + name}, definitions)


def custom(modules: dict[str, Path], definitions: Object) -> Iterator[tuple[str, Object]]:
    """Yield the operators' kinds, with their metadata checked like everybody's."""
    for module, pattern in CRDS.items():
        paths = list(modules[module].glob(pattern))
        assert paths, f"{module} has no {pattern}"
        for path in paths:
            spec = yaml.load(path.read_text(), Loader=Loader)["spec"]
            for version in spec["versions"]:
                schema = strict(version["schema"]["openAPIV3Schema"])
                schema["properties"]["metadata"] = {"$ref": PREFIX + METADATA}
                yield file_name(spec["group"], version["name"], spec["names"]["kind"]), whole(schema, definitions)


def file_name(group: str, version: str, kind: str) -> str:
    # kubeconform uses the version of core kinds as their group.
    return f"{kind.lower()}-{group or version}-{version}"


def whole(schema: Object, definitions: Object) -> Object:
    """Return a schema with the definitions that it needs."""
    needed: dict[str, Any] = {}
    waiting = list(references(schema))
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed[name] = definitions[name]
            waiting += references(definitions[name])
    return {**schema, "definitions": needed}


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(name := schema.get("$ref"), str):
            yield name.removeprefix(PREFIX)
        schema = list(schema.values())
    if isinstance(schema, list):
        for each in schema:
            yield from references(each)
