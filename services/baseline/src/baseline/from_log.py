"""Baseline from a period of the inference log that a person considers healthy."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from baseline.errors import GeneratorError
from inferencelog import MEASURES, SCORE, WINDOW_ROWS, Baseline, Store, Window, one_line, read_window
from manifest import MODEL_NAME, Manifest

NAMED = 5
"""Most models that an error message names."""
MODEL = ("model_version", "model_sha256", "feature_schema_version")


def from_log(
    store: Store,
    environment: str,
    period: tuple[datetime, datetime],
    manifest: Manifest,
    least_rows: int,
    most_rows: int = WINDOW_ROWS,
) -> Baseline:
    """Return a baseline with the features and scores of the mails answered in a period.

    Args:
        manifest: Manifest of the model that must have scored the rows. It gives the threshold, which the log lacks.

    Raises:
        StoreError: If the log cannot be read.
        WindowError: If the period holds more rows than `most_rows`.
        GeneratorError: If there are too few rows, unreadable files, rows of several models, or rows of another model.
    """
    window = read_window(store, environment, *period, columns=[*MODEL, *MEASURES], most_rows=most_rows)
    _check_whole(window)
    if window.table.num_rows < least_rows:
        raise GeneratorError(
            f"{environment} has {window.table.num_rows} rows in the log from {period[0].isoformat()} to"
            f" {period[1].isoformat()}; a baseline needs {least_rows} or more: name a longer period"
        )
    version, sha256, schema_version = _one_model(window.table)
    _check_model(manifest, version, sha256, schema_version)
    return Baseline(
        table=window.table.select([*MEASURES]),
        model_name=manifest.name,
        model_version=version,
        model_sha256=sha256,
        feature_schema_version=schema_version,
        threshold=manifest.threshold,
        source=f"inference log of {environment}",
        period=period,
    )


def _check_whole(window: Window) -> None:
    """Refuse a period with any unusable file or row.

    The detector can set such rows aside, but a baseline is made once and used for weeks.
    """
    if window.unreadable:
        named = "; ".join(f"{path}: {why}" for path, why in list(window.unreadable.items())[:5])
        raise GeneratorError(
            f"{len(window.unreadable)} files of the period cannot be read ({named}); remove them or name another period"
        )
    if window.other_environment or window.other_hour:
        raise GeneratorError(
            f"{window.other_environment} rows of the period say that they are of another environment,"
            f" {window.other_hour} of another hour than their partition's; find out who writes them, or name"
            " another period"
        )
    holes = [n for n in MEASURES if pc.any(pc.is_null(window.table[n], nan_is_null=True)).as_py()]
    if holes:
        raise GeneratorError(f"rows of the period lack values of {', '.join(holes)}; name another period")
    odd = [n for n in MEASURES if not _is_in_range(n, window.table[n])]
    if odd:
        raise GeneratorError(
            f"rows of the period have values that no mail has of {', '.join(odd)}; name another period"
        )


def _is_in_range(name: str, column: pa.ChunkedArray) -> bool:
    if not len(column):
        return True
    most = 1.0 if name == SCORE or name.endswith("_share") else float(np.finfo(np.float32).max)
    found = pc.min_max(column).as_py()
    return bool(found["min"] >= 0 and found["max"] <= most)


def _one_model(table: pa.Table) -> Sequence[str]:
    counts = table.select(MODEL).group_by(MODEL).aggregate([([], "count_all")]).sort_by([("count_all", "descending")])
    rows = [{**row, **{name: one_line(row[name] or "") for name in MODEL}} for row in counts.to_pylist()]
    if not rows:
        raise GeneratorError("the period holds no rows; name another period")
    if len(rows) > 1:
        named = "; ".join(
            f"{r['count_all']} of {r['model_version']} (SHA-256 {r['model_sha256'][:12]})" for r in rows[:NAMED]
        )
        raise GeneratorError(f"the period mixes {len(rows)} models: {named}; name a period between two releases")
    return [rows[0][name] for name in MODEL]


def _check_model(manifest: Manifest, version: str, sha256: str, schema_version: str) -> None:
    ours = (manifest.version, manifest.sha256, manifest.feature_schema_version)
    # A third-party predictor reports no digest.
    if (version, sha256 or ours[1], schema_version) != ours:
        # Before releases pinned model.json, rows carried the digest of the model's file alone.
        advice = "name the bundle that served them"
        if sha256 == manifest.files[MODEL_NAME]:
            advice = f"they name {MODEL_NAME} alone, as older predictors did: name a period after the upgrade"
        raise GeneratorError(
            f"the rows are of model {version} (SHA-256 {sha256[:12] or 'unknown'}, feature schema {schema_version}),"
            f" the bundle is {ours[0]} (SHA-256 {ours[1][:12]}, feature schema {ours[2]});"
            f" {advice}"
        )
