"""OpenAPI document as client generators read it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clients import app_of, in_process
from openapi_spec_validator import validate

OPERATIONS = {"predict", "batch_predict", "explain", "health", "ready", "metrics"}
KEYS = {"keys": [{"name": "shop", "sha256": "ab" * 32, "environments": ["staging"]}]}


@pytest.fixture(params=["open", "keys"])
async def document(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if request.param == "keys":
        (tmp_path / "keys.json").write_text(json.dumps(KEYS))
        settings["api_keys_file"] = tmp_path / "keys.json"
    async with in_process(app_of(**settings)) as http:
        first = (await http.get("/openapi.json")).json()
        assert (await http.get("/openapi.json")).json() == first
        return first  # type: ignore[no-any-return]


def nodes(document: Any) -> Iterator[dict[str, Any]]:
    children = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    if isinstance(document, dict):
        yield document
    for child in children:
        yield from nodes(child)


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from path.values()


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    validate(document)


def test_operations_have_short_names(document: dict[str, Any]) -> None:
    assert {each["operationId"] for each in operations(document)} == OPERATIONS


def test_each_object_is_described_once_and_by_a_name(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert {"ProblemDetails", "PredictRequest", "PredictResponse"} <= schemas.keys()
    inline = [node for operation in operations(document) for node in nodes(operation) if node.get("type") == "object"]
    assert inline == []


def test_each_error_is_the_one_component(document: dict[str, Any]) -> None:
    for operation in operations(document):
        errors = [answer for status, answer in operation["responses"].items() if status != "200"]
        assert len(errors) >= 5
        for error in errors:
            found = error["content"]["application/problem+json"]["schema"]
            assert found == {"$ref": "#/components/schemas/ProblemDetails"}


def test_each_reference_leads_somewhere(document: dict[str, Any]) -> None:
    named = {node["$ref"] for node in nodes(document) if "$ref" in node}
    assert named == {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}


def test_answers_have_a_threshold_that_may_be_null(document: dict[str, Any]) -> None:
    for name in ("PredictResponse", "BatchPredictResponse", "ExplainResponse"):
        schema = document["components"]["schemas"][name]
        assert "threshold" in schema["required"]
        assert [each["type"] for each in schema["properties"]["threshold"]["anyOf"]] == ["number", "null"]
    assert "threshold" not in document["components"]["schemas"]["BatchVerdict"]["required"]
