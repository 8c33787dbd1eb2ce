"""Tests of fields: every field of a manifest has limits, and each refusal names the field, the limit and what to do."""

import json
from typing import Any

import pytest
from conftest import NUMBERS, digest, document, fields, quantiles

from manifest import MANIFEST_BYTES, BundleError, Manifest, parse


def parsed(content: bytes) -> Manifest:
    return parse(content, "model.json")


def refusal(content: bytes) -> str:
    with pytest.raises(BundleError) as caught:
        parsed(content)
    said = str(caught.value)
    assert said.isprintable() and len(said) < 500, said
    return said


def test_a_sound_manifest() -> None:
    content = document()
    found = parsed(content)
    assert (found.name, found.version, found.threshold) == ("spam-detector", "4dff54a7ee78", 0.9)
    assert found.columns == ("text", *NUMBERS)
    assert found.sha256 == digest(content)
    assert found.feature_quantiles == quantiles()


def test_unknown_fields_are_not_read() -> None:
    assert parsed(document(later={"a": [1, "b", None, True]})).threshold == 0.9


def test_a_bundle_of_before_has_no_quantiles() -> None:
    assert parsed(document(feature_quantiles=None)).feature_quantiles is None


@pytest.mark.parametrize("field", [name for name in fields() if name != "feature_quantiles"])
@pytest.mark.parametrize("value", ["null", "true", "[[]]", '{"": {}}', '""', "-1"])
def test_wrong_types_and_missing_fields_are_named(field: str, value: str) -> None:
    text = json.dumps(fields(**{field: "HERE"})).replace('"HERE"', value)
    assert f"'{field}" in refusal(text.encode())
    del (without := fields())[field]
    assert f"field '{field}' must be " in refusal(json.dumps(without).encode())


def test_the_choice_of_the_threshold_may_be_missing() -> None:
    assert parsed(document()).threshold_chosen_by == ""
    assert parsed(document(threshold_chosen_by="THRESHOLD=0.9")).threshold_chosen_by == "THRESHOLD=0.9"


@pytest.mark.parametrize("value", [1, "0.9", "THRESHOLD=0.9 ", "x" * 100, {"THRESHOLD": 0.9}])
def test_a_choice_of_the_threshold_that_is_no_setting_is_refused(value: object) -> None:
    assert "'threshold_chosen_by' must be like THRESHOLD=0.9" in refusal(document(threshold_chosen_by=value))


@pytest.mark.parametrize("value", ["0", "1", "0.0", "1.0", "-0.1", "1.5", "1e308", "-0", "0.99999999999999999999"])
def test_a_threshold_that_calls_all_mail_the_same_is_refused(value: str) -> None:
    said = refusal(document(threshold="HERE").replace(b'"HERE"', value.encode()))
    assert "'threshold' must be greater than 0 and less than 1, is " in said


@pytest.mark.parametrize("value", [5e-324, 0.5, 1 - 2**-53])
def test_thresholds_between(value: float) -> None:
    assert parsed(document(threshold=value)).threshold == value


@pytest.mark.parametrize("field", ["name", "version", "feature_schema_version"])
@pytest.mark.parametrize(
    "value", ["", ".", "..", "../x", "a/b", "-rf", "a b", "a\n", "a\x1b[31m", "\u202ea", "ä", "a" * 64, "\ud800", "a\0"]
)
def test_names_are_short_and_plain(field: str, value: str) -> None:
    refusal(document(**{field: value}))


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ([], "name at least one column"),
        ([1], "name at least one column"),
        (["text", None], "name at least one column"),
        (["text", ["links"]], "name at least one column"),
        (["text", ""], "name at least one column"),
        (["text", "a b"], "name at least one column"),
        (["text", "a" * 65], "name at least one column"),
        (["text", "a-b"], "name at least one column"),
        (["links", "text"], "begin with 'text'"),
        (["text", "links", "links"], "name each column once"),
        (["text", *(f"c{n}" for n in range(256))], "at most 256"),
    ],
)
def test_columns(value: list[Any], rule: str) -> None:
    said = refusal(document(columns=value, feature_quantiles=None))
    assert "'columns' must" in said and rule in said


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("metrics", {"a": "b"}, "'metrics.a' must be a number"),
        ("metrics", {"a": None}, "'metrics.a' must be a number"),
        ("metrics", {"a": True}, "'metrics.a' must be a number"),
        ("metrics", {"a": [1, "b"]}, "'metrics.a' must be a number"),
        ("metrics", {"a": [[1]]}, "'metrics.a' must be a number"),
        ("metrics", {"a": [0] * 1001}, "at most 1000"),
        ("metrics", {"Signed-off-by: x": 1}, "'metrics' must have names like"),
        ("metrics", {f"m{n}": 1 for n in range(257)}, "'metrics' must have 0 to 256 entries, is 257"),
        ("libraries", {"numpy": 2}, "'libraries.numpy' must be a version"),
        ("libraries", {"numpy": "2 or so"}, "'libraries.numpy' must be a version"),
        ("libraries", {"num py": "2"}, "'libraries' must have names like"),
        ("corpus", {"digest": "abc"}, "'corpus.digest' must be a SHA-256"),
        ("corpus", {"ham": -1}, "'corpus.ham' must be a number of mails"),
        ("corpus", {"spam": 1.5}, "'corpus.spam' must be a number of mails"),
        ("corpus", {"spam": True}, "'corpus.spam' must be a number of mails"),
        ("corpus", {"source": ["a"]}, "'corpus.source' must be a text or a number"),
        ("files", {}, "'files' must have 1 to 256 entries"),
        ("files", {"baseline.parquet": "0" * 64}, "'files' must list exactly one model file, model.joblib, is []"),
        ("files", {"model.pkl": "0" * 64}, "exactly one model file, model.joblib"),
        ("files", {"model.joblib": "0" * 64, "a.pickle": "0" * 64}, "exactly one model file, model.joblib"),
        ("files", {"model.joblib": "0" * 64, "model.json": "0" * 64}, "'files' must not list model.json"),
        ("files", {"model.joblib": "A" * 64}, "'files.model.joblib' must be a SHA-256"),
        ("files", {"model.joblib": "0" * 63}, "'files.model.joblib' must be a SHA-256"),
        ("files", {"model.joblib": None}, "'files.model.joblib' must be a SHA-256"),
        ("files", {"model.joblib": "0" * 64, "../x": "0" * 64}, "'files' must have names like"),
        ("files", {"model.joblib": "0" * 64, "a/b": "0" * 64}, "'files' must have names like"),
        ("files", {"model.joblib": "0" * 64, "/etc/passwd": "0" * 64}, "'files' must have names like"),
        ("files", {"model.joblib": "0" * 64, "..": "0" * 64}, "'files' must have names like"),
        ("files", {"model.joblib": "0" * 64, "a" * 129: "0" * 64}, "'files' must have names like"),
        ("feature_quantiles", [], "'feature_quantiles' must have the groups all, ham, spam"),
        ("feature_quantiles", {"all": {}}, "'feature_quantiles' must have the groups all, ham, spam"),
        ("feature_quantiles", quantiles(links=None), "must have each of the model's numbers in group 'all'"),
        ("feature_quantiles", quantiles(more=[0, 1, 2, 3, 4]), "must have each of the model's numbers in group 'all'"),
        ("feature_quantiles", quantiles(links=[0, 1, 2, 3]), "5 rising numbers for 'links' in group 'all'"),
        ("feature_quantiles", quantiles(links=[0, 1, 2, 1, 3]), "5 rising numbers for 'links'"),
        ("feature_quantiles", quantiles(links=["0", "1", "2", "3", "4"]), "5 rising numbers for 'links'"),
        ("feature_quantiles", quantiles(links=[False, 1, 2, 3, 4]), "5 rising numbers for 'links'"),
    ],
)
def test_fields_with_parts(field: str, value: Any, rule: str) -> None:
    assert rule in refusal(document(**{field: value}))


def changed(old: bytes, new: bytes) -> bytes:
    content = document()
    assert old in content
    return content.replace(old, new, 1)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is no JSON"),
        (b" \n", "is no JSON"),
        (b"{", "is no JSON"),
        (b"[]", "holds no JSON object"),
        (b"null", "holds no JSON object"),
        (b'"text"', "holds no JSON object"),
        (document() + b"{}", "is no JSON (Extra data"),
        (b"\xef\xbb\xbf" + document(), "begins with a byte order mark"),
        (document().decode().encode("utf-16"), "byte 0 is not UTF-8"),
        (document().decode().encode("utf-32-le"), "is no JSON"),
        (changed(b"spam-detector", b"spam\xff"), "is not UTF-8"),
        (changed(b"spam-detector", b"spam\n"), "is no JSON"),
        (changed(b"0.9", b"NaN"), "NaN is no number of JSON"),
        (changed(b"0.9", b"Infinity"), "Infinity is no number"),
        (changed(b"0.9", b"-Infinity"), "-Infinity is no number"),
        (changed(b"0.0003", b"1e400"), "the number '1e400' is out of range"),
        (changed(b"0.9", b"9" * 400), "a number has 400 digits; at most 18"),
        (changed(b"0.0003", b"-" + b"9" * 5000), "a number has 5000 digits; at most 18"),
        (changed(b'"threshold": 0.9', b'"threshold": 0.9, "threshold": 0.99'), "has the name 'threshold' twice"),
        (changed(b'"threshold": 0.9', b'"threshold": 0.9, "t\\u0068reshold": 1'), "has the name 'threshold' twice"),
        (changed(b'"ham": 3', b'"ham": 3, "ham": 3'), "has the name 'ham' twice"),
        (changed(b"0.0003", b"[" * 100_000 + b"]" * 100_000), "is nested deeper than 8 levels"),
        (changed(b"0.0003", b'{"a":' * 50_000 + b"1" + b"}" * 50_000), "is nested deeper than 8 levels"),
        (changed(b"0.0003", b"[" * 8 + b"]" * 8), "is nested deeper than 8 levels"),
        (changed(b'"spam-detector"', b'"\\u0000"'), "cannot be printed"),
        (document(later="\x1b[2J"), "cannot be printed"),
        (document(later={"\x1b": 1}), "cannot be printed"),
        (document(later="a" * 1025), "longer than 1024 characters"),
        (document() + b" " * MANIFEST_BYTES, "larger than 1,048,576 bytes"),
    ],
)
def test_what_is_no_manifest(content: bytes, why: str) -> None:
    assert why in refusal(content)


def test_a_large_object_with_one_name_twice_is_refused_at_once() -> None:
    names = ", ".join(f'"n{n}": 1' for n in range(60_000))
    assert "has the name 'n0' twice" in refusal(f'{{{names}, "n0": 2}}'.encode())
