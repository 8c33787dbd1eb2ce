import json
from typing import Any

import pytest
from conftest import SHA256, FakePredictor, LogOnDisk
from kserve import InferInput, InferRequest

import features
from kserving import InvalidInput
from transformer.model import FeatureTransformer

SPAM, HAM = "money", "See you at ten."
THEIRS = "cd" * 32
COLUMNS: dict[str, tuple[str, list[Any]]] = {
    "email_content": ("BYTES", [SPAM, HAM, HAM]),
    "request_id": ("BYTES", ["r-1", "r-1", "r-2"]),
    "position": ("INT32", [0, 1, 0]),
    "production_version": ("BYTES", ["6", "6", "5"]),
    "production_sha256": ("BYTES", [THEIRS, THEIRS, ""]),
    "production_probability": ("FP64", [0.25, 0, 0.75]),
    "production_prediction": ("BYTES", ["ham", "ham", "spam"]),
    "production_seconds": ("FP64", [0.02, 0.02, 0.03]),
    "production_batch_mails": ("INT32", [2, 2, 1]),
}


def request(**other: tuple[str, list[Any]] | None) -> InferRequest:
    """Return a shadowed request, with some inputs replaced or, for None, left out."""
    columns = {name: each for name, each in (COLUMNS | other).items() if each is not None}
    inputs = [InferInput(name, [len(data)], datatype, data=data) for name, (datatype, data) in columns.items()]
    return InferRequest("spam-detector", inputs, request_id="batch")


async def test_a_shadowed_mail_is_a_row_beside_what_production_said(model: FeatureTransformer, log: LogOnDisk) -> None:
    response, _ = await model(request())
    assert [output.data for output in response.outputs] == [[0.95, 0.05, 0.05], ["spam", "ham", "ham"]]
    rows = log.shadow_rows()
    said = ["request_id", "position", "probability", "prediction", "model_version", "model_sha256"]
    assert [[row[name] for name in said] for row in rows] == [
        ["r-1", 0, 0.95, "spam", "7", SHA256],
        ["r-1", 1, 0.05, "ham", "7", SHA256],
        ["r-2", 0, 0.05, "ham", "7", SHA256],
    ]
    names = [name for name in COLUMNS if name.startswith("production_")]
    assert [[row[name] for row in rows] for name in names] == [COLUMNS[name][1] for name in names]
    assert all(0 < row["seconds"] < 5 for row in rows)
    assert [row["batch_mails"] for row in rows] == [3, 3, 3]
    seen = features.extract(SPAM).values
    assert [rows[0][name] for name in features.NAMES] == pytest.approx(seen)


async def test_a_gateway_of_before_tells_no_size_of_batches(model: FeatureTransformer, log: LogOnDisk) -> None:
    await model(request(production_batch_mails=None))
    assert [row["production_batch_mails"] for row in log.shadow_rows()] == [0, 0, 0]


async def test_it_is_no_row_of_the_log_that_drift_is_looked_for_in(model: FeatureTransformer, log: LogOnDisk) -> None:
    await model(request())
    await model(InferRequest("spam-detector", [InferInput("email_content", [1], "BYTES", data=[HAM])]))
    assert len(log.rows()) == 1
    assert len(log.shadow_rows()) == 3


async def test_no_text_is_written(model: FeatureTransformer, log: LogOnDisk) -> None:
    await model(request(email_content=("BYTES", ["Subject: confidential", HAM, HAM])))
    assert log.shadow_rows()
    for file in log.folder.rglob("*.parquet"):
        assert b"confidential" not in file.read_bytes()


async def test_mails_that_were_sent_twice_are_read_once(model: FeatureTransformer, log: LogOnDisk) -> None:
    for _ in range(2):
        await model(request())
    assert len(log.shadow_rows()) == 3


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"position": None, "production_seconds": None}, "also needs the inputs position, production_seconds"),
        ({"position": ("INT32", [0, 1])}, "'position' has 2 rows, 'email_content' has 3"),
        ({"position": ("INT32", [0, 1, -1])}, "'position' holds -1; expected 0 to"),
        ({"position": ("FP64", [0, 1, 2])}, "'position' has datatype FP64; expected INT32"),
        ({"position": ("INT32", [0, True, 2])}, "'position' holds a bool; expected a whole number"),
        ({"production_probability": ("FP64", [0.5, 1.5, 0])}, "'production_probability' holds 1.5; expected 0 to 1"),
        (
            {"production_probability": ("FP64", [0.5, "1", 0])},
            "'production_probability' holds a str; expected a",
        ),
        ({"production_probability": ("BYTES", ["1"] * 3)}, "datatype BYTES; expected FP64"),
        ({"production_prediction": ("BYTES", ["ham", "eggs", "spam"])}, "'eggs'; expected spam or ham"),
        ({"production_sha256": ("BYTES", ["ab", "", ""])}, "'ab'; expected a SHA-256 or nothing"),
        ({"production_version": ("BYTES", ["6", "", "6"])}, "'production_version' holds no text of 1 to 128"),
        ({"production_seconds": ("FP64", [-1, 0, 0])}, "'production_seconds' holds -1.0"),
        ({"production_batch_mails": ("INT32", [0, -1, 0])}, "'production_batch_mails' holds -1"),
    ],
    ids=lambda each: json.dumps(each)[:40] if isinstance(each, dict) else None,
)
async def test_what_production_said_is_checked_before_anybody_is_asked(
    model: FeatureTransformer, predictor: FakePredictor, log: LogOnDisk, other: dict[str, Any], why: str
) -> None:
    with pytest.raises(InvalidInput, match=why.replace("(", r"\(")):
        await model(request(**other))
    assert (predictor.bodies, log.shadow_rows()) == ([], [])
