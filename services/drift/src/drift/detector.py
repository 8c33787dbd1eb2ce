"""Drift detection: from a window of the log and a baseline to a result."""

from dataclasses import replace
from datetime import datetime

import features
from drift.baseline import read_owned
from drift.compare import Change, compare, shares
from drift.errors import DriftError
from drift.period import Period
from drift.picture import Picture, picture, share_picture
from drift.result import Log, Measured, Result, Status
from drift.sample import IDENTITY, Sample, SetAside, measures, own_rows, usable_rows
from drift.settings import DriftSettings
from inferencelog import (
    MEASURES,
    SCORE,
    Baseline,
    Store,
    Window,
    WindowError,
    newest_time,
    open_store,
    read_window,
)

NEW_BASELINE = "make a new baseline with baseline-generator, from mail that is healthy, and set BASELINE_URI to it"


def detect(settings: DriftSettings, now: datetime) -> Result:
    """Compare the period with the baseline and return the result.

    Raises:
        DriftError: If they cannot be compared.
        inferencelog.LogError: If the log or the baseline cannot be read.
    """
    period = settings.period(now)
    baseline = checked_baseline(settings)
    old, _ = usable_rows(measures(baseline.table))
    if old.rows < settings.minimum_rows:
        raise DriftError(
            f"the baseline {settings.baseline_uri} has {old.rows} rows of finite numbers in their range, fewer "
            f"than MINIMUM_ROWS={settings.minimum_rows}; {NEW_BASELINE}"
        )
    log, new = read(open_store(settings.inference_log_uri), settings, period, baseline)
    measured = _measure(old, new, baseline, settings) if new.rows >= settings.minimum_rows else []
    return Result(
        status=_status(measured),
        environment=settings.environment,
        period=period,
        created=now,
        baseline=baseline,
        baseline_uri=settings.baseline_uri,
        report_uri=open_store(settings.report_root).uri(f"{period.folder(settings.environment)}/report.html"),
        rows=new.rows,
        log=log,
        measured=measured,
        settings=settings.dict(include={"minimum_rows", "false_alarm_rate", "minimum_change"}),
    )


def checked_baseline(settings: DriftSettings) -> Baseline:
    """Return the baseline, with the environment's threshold, if it is of the released model and this feature schema.

    Raises:
        DriftError: If it belongs to another model or schema.
        inferencelog.LogError: If it cannot be read.
    """
    found = read_owned(settings.baseline_uri, settings.model_sha256)
    if settings.model_sha256 and found.model_sha256 != settings.model_sha256:
        raise DriftError(
            f"the baseline {settings.baseline_uri} is of model {found.model_version} with SHA-256 "
            f"{found.model_sha256 or 'unknown'}, and the released model has MODEL_SHA256={settings.model_sha256}; "
            f"a baseline of that model is needed: take the one in its bundle, beside its model.json, or {NEW_BASELINE}"
        )
    if found.feature_schema_version != features.SCHEMA_VERSION:
        raise DriftError(
            f"the baseline {settings.baseline_uri} has features of schema {found.feature_schema_version}, this "
            f"detector knows schema {features.SCHEMA_VERSION}; {NEW_BASELINE}"
        )
    if settings.spam_threshold is not None:
        # Mail was called spam from here on, so both samples count their spam from here on.
        found = replace(found, threshold=settings.spam_threshold)
    if tuple(found.table.column_names) != MEASURES:
        odd = sorted(set(found.table.column_names) ^ set(MEASURES)) or "their order"
        raise DriftError(f"the baseline {settings.baseline_uri} has other columns ({odd}); {NEW_BASELINE}")
    return found


def read(store: Store, settings: DriftSettings, period: Period, baseline: Baseline) -> tuple[Log, Sample]:
    """Return a description of the window and its rows that can be compared.

    Raises:
        DriftError: If there are rows or files but none is usable, or if there are too many rows.
        inferencelog.LogError: If the store cannot be read.
    """
    window = _window(store, settings, period)
    if window.unreadable and not window.files:
        path, why = next(iter(window.unreadable.items()))
        raise DriftError(
            f"none of the {len(window.unreadable)} files of the window can be read, the first being "
            f"{store.uri(path)}: {why}; look at what writes there, move the files away and run again"
        )
    rows, files, unreadable = window.table.num_rows, window.files, window.unreadable
    misplaced = (window.other_environment, window.other_hour)
    own = own_rows(window.table, baseline)
    # Only the columns are needed from here on. They are freed one by one.
    del window
    sample, unusable = usable_rows(own.columns)
    aside = SetAside(*misplaced, own.other_models, own.other_schemas, unusable)
    _check(aside, sample.rows, settings, baseline)
    newest = newest_time(store, settings.environment)
    return Log(rows, files, unreadable, aside, newest), sample


def _window(store: Store, settings: DriftSettings, period: Period) -> Window:
    columns = [*IDENTITY, *MEASURES]
    try:
        return read_window(
            store, settings.environment, period.start, period.end, columns, most_rows=settings.maximum_rows
        )
    except WindowError as error:
        raise DriftError(f"{error}: MAXIMUM_ROWS, half a kilobyte each") from error


def _check(aside: SetAside, rows: int, settings: DriftSettings, baseline: Baseline) -> None:
    """Raise DriftError if there are rows but none is usable: that is a fault to fix, not a quiet hour."""
    if rows == 0 and aside.other_models:
        raise DriftError(
            f"the window holds rows of model {', '.join(sorted(aside.other_models))} only, and the baseline "
            f"{settings.baseline_uri} is of model {baseline.model_version}; {NEW_BASELINE}"
        )
    if rows == 0 and aside.other_schemas:
        raise DriftError(
            f"the window holds rows of feature schema {', '.join(sorted(aside.other_schemas))} only, and the baseline "
            f"{settings.baseline_uri} is of schema {baseline.feature_schema_version}; {NEW_BASELINE}"
        )
    unusable = aside.unusable
    count = unusable.not_finite + unusable.out_of_range
    if rows < settings.minimum_rows <= rows + count:
        columns = ", ".join(f"{name} ({number})" for name, number in unusable.columns.items())
        raise DriftError(
            f"{count} of {rows + count} rows hold values that are missing, no finite numbers or out of their range, "
            f"in {columns}; look at the transformer that writes them"
        )


def _measure(old: Sample, new: Sample, baseline: Baseline, settings: DriftSettings) -> list[Measured]:
    changes = compare(old.columns, new.columns, baseline.threshold, settings.limits)
    found = [Measured(change, _picture(change, old, new, baseline.threshold)) for change in changes]
    return sorted(found, key=lambda each: (not each.change.drifted, -each.change.distance))


def _picture(change: Change, old: Sample, new: Sample, threshold: float) -> Picture:
    least = shares(threshold).get(change.measure)
    if least is not None:
        return share_picture(*(float((sample.columns[SCORE] >= least).mean()) for sample in (old, new)))
    values = [sample.columns[change.measure] for sample in (old, new)]
    return picture(*values, linear=change.measure == SCORE)


def _status(measured: list[Measured]) -> Status:
    if not measured:
        return Status.INSUFFICIENT_DATA
    return Status.DRIFT if any(each.change.drifted for each in measured) else Status.NO_DRIFT
