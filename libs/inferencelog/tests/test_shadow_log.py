"""Tests of shadowed mails: they are written beside the log, and each counts once."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from sample import rows

import features
from inferencelog import (
    Prediction,
    ProductionAnswer,
    ShadowChunk,
    ShadowRows,
    ShadowWindow,
    Store,
    Writer,
    WriterLimits,
    open_shadow,
    open_store,
    read_shadow,
    shadow_schema,
)

HOUR = datetime(2026, 3, 1, 13, tzinfo=UTC)
PATIENCE = 10.0
CANDIDATE, PRODUCTION = "c" * 64, "9" * 64


def shadowed(
    mails: Sequence[tuple[str, int]],
    spam: bool = True,
    sha256: str = CANDIDATE,
    production_sha256: str = PRODUCTION,
) -> ShadowRows:
    """Return mails by request id and position; production called all of them spam."""
    n = len(mails)
    prediction: Prediction = "spam" if spam else "ham"
    return ShadowRows(
        request_ids=[request for request, _ in mails],
        positions=[position for _, position in mails],
        values=[(float(i), *[0.5] * (len(features.NAMES) - 1)) for i in range(n)],
        probabilities=[0.25 + 0.5 * spam] * n,
        predictions=[prediction] * n,
        model_version="new",
        model_sha256=sha256,
        seconds=0.02,
        production=[ProductionAnswer("old", production_sha256, 0.875, "spam", 0.01, 4)] * n,
    )


def write(store: Store, *batches: ShadowRows, at: datetime = HOUR, environment: str = "staging") -> None:
    writer = Writer(store, environment, clock=at.timestamp, buffer=ShadowChunk)
    for batch in batches:
        writer.append(batch)
    assert writer.close(PATIENCE).written == sum(len(batch.request_ids) for batch in batches)


def read(store: Store, hours: float = 24, **models: Any) -> ShadowWindow:
    return read_shadow(store, "staging", HOUR, HOUR + timedelta(hours=hours), **models)


def keys(window: ShadowWindow) -> list[tuple[str, int]]:
    return list(zip(window.table["request_id"].to_pylist(), window.table["position"].to_pylist(), strict=True))


def test_rows_come_back_as_they_went(store: Store) -> None:
    write(store, shadowed([("a", 0), ("a", 1)]), shadowed([("b", 0)], spam=False))
    window = read(store)
    table = window.table
    assert table.schema == shadow_schema()
    assert keys(window) == [("a", 0), ("a", 1), ("b", 0)]
    assert table[features.NAMES[0]].to_pylist() == [0.0, 1.0, 0.0]
    assert table["probability"].to_pylist() == [0.75, 0.75, 0.25]
    assert table["prediction"].to_pylist() == ["spam", "spam", "ham"]
    assert table["batch_mails"].to_pylist() == [2, 2, 1]
    for name, value in {
        "time": HOUR,
        "environment": "staging",
        "model_version": "new",
        "model_sha256": CANDIDATE,
        "feature_schema_version": features.SCHEMA_VERSION,
        "seconds": 0.02,
        "production_version": "old",
        "production_sha256": PRODUCTION,
        "production_probability": 0.875,
        "production_prediction": "spam",
        "production_seconds": 0.01,
        "production_batch_mails": 4,
    }.items():
        assert set(table[name].to_pylist()) == {value}, name
    assert (window.files, window.unreadable, window.duplicates, window.other_models) == (1, {}, 0, 0)


def test_each_mail_counts_once_however_often_it_was_written(store: Store) -> None:
    write(store, shadowed([("a", 0), ("a", 1)]), shadowed([("a", 1), ("b", 0)]))
    # The mails are repeated after a restart, in another hour and with another answer: the first counts.
    write(store, shadowed([("a", 0), ("b", 1)], spam=False), at=HOUR + timedelta(hours=2))
    window = read(store)
    assert keys(window) == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert window.table["prediction"].to_pylist() == ["spam", "spam", "spam", "ham"]
    assert (window.duplicates, window.contradictions) == (2, 1)


def test_rows_of_other_models_are_counted_and_left_out(store: Store) -> None:
    write(store, shadowed([("a", 0)], sha256="d" * 64), shadowed([("b", 0)], production_sha256="8" * 64))
    # A mail that another pair of models has answered before is not a duplicate.
    write(store, shadowed([("a", 0), ("c", 0)]), at=HOUR + timedelta(minutes=1))
    window = read(store, candidate_sha256=CANDIDATE, production_sha256=PRODUCTION)
    assert keys(window) == [("a", 0), ("c", 0)]
    assert (window.other_models, window.duplicates) == (2, 0)
    assert read(store).table.num_rows == 3


def test_nothing_is_nothing(store: Store) -> None:
    assert read(store).table.num_rows == 0


def test_readers_of_the_whole_log_leave_shadowed_mails_out(tmp_path: Path) -> None:
    uri = (tmp_path / "log").as_uri()
    writer = Writer(open_store(uri), "staging", clock=HOUR.timestamp)
    writer.append(rows(3))
    assert writer.close(PATIENCE).written == 3
    write(open_shadow(uri), shadowed([("a", 0)]))
    (file,) = (tmp_path / "log/_shadow").rglob("*.parquet")
    assert file.parent == tmp_path / "log/_shadow/environment=staging/date=2026-03-01/hour=13"
    hive = ds.HivePartitioning.discover(infer_dictionary=True)
    assert ds.dataset(tmp_path / "log", partitioning=hive).to_table().num_rows == 3


def test_what_waits_is_bounded_and_what_is_dropped_is_counted(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("in the way")
    limits = WriterLimits(flush_rows=2, buffer_rows=4)
    writer = Writer(open_store(str(tmp_path / "log")), "staging", limits, buffer=ShadowChunk)
    for number in range(6):
        writer.append(shadowed([(f"r{number}", 0), (f"r{number}", 1)]))
    stats = writer.close(0.1)
    assert stats.waiting + stats.dropped == 12 and stats.dropped >= 6


def test_what_does_not_fit_is_refused_whole() -> None:
    chunk = ShadowChunk()
    good = shadowed([("a", 0), ("a", 1)])
    for wrong, why in (
        ({"positions": [0]}, "one item a mail"),
        ({"predictions": ["spam", "maybe"]}, "'maybe' is unknown; known: spam, ham"),
        ({"values": [(1.0,), (1.0,)]}, f"1 features; expected {len(features.NAMES)}"),
    ):
        fields = {name: getattr(good, name) for name in good.__slots__}
        with pytest.raises(ValueError, match=why):
            chunk.add(ShadowRows(**{**fields, **wrong}), 0)
    assert len(chunk) == 0
