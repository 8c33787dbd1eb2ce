"""Schema of the inference log, and the partition of a row."""

import re
from datetime import UTC, datetime, timedelta

import pyarrow as pa

import features

SCORE = "spam_probability"

MEASURES: tuple[str, ...] = (*features.NAMES, SCORE)
"""Measures of a row: the named features, then the score."""

HOUR = timedelta(hours=1)

_HOUR_FOLDER = re.compile(r"(?s:.*)/date=([0-9]{4}-[0-9]{2}-[0-9]{2})/hour=([0-9]{2})")

ENVIRONMENT_PATTERN = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
"""Pattern of environment names. They are part of paths, and the same names are valid in Kubernetes."""

LABEL = pa.dictionary(pa.int32(), pa.string())
"""Type of a text that many rows share."""

# Features keep the precision that the model sees, the score the one that the caller gets.
_MEASURES = [*(pa.field(name, pa.float32()) for name in features.NAMES), pa.field(SCORE, pa.float64())]


def schema() -> pa.Schema:
    """Return the log's columns.

    `environment` is in the rows too, so that a file in the wrong partition is noticed. Labels are dictionaries, because
    readers of hive partitions make `environment=…` one. Both can then be read as the same type.
    """
    return pa.schema(
        [
            pa.field("time", pa.timestamp("us", tz="UTC")),
            pa.field("environment", LABEL),
            pa.field("model_version", LABEL),
            pa.field("model_sha256", LABEL),
            pa.field("feature_schema_version", LABEL),
            pa.field("request_id", pa.string()),
            *_MEASURES,
        ]
    )


def measures_schema() -> pa.Schema:
    """Return the columns of a baseline."""
    return pa.schema(_MEASURES)


def check_environment(name: str) -> str:
    """Return the name if it can be part of a path.

    Raises:
        ValueError: If it cannot.
    """
    if not re.fullmatch(ENVIRONMENT_PATTERN, name):
        raise ValueError(f"environment {name!r} must be of a-z, 0-9 and - and begin and end with a letter or digit")
    return name


def environment_folder(environment: str) -> str:
    """Return the folder of an environment's rows."""
    return f"environment={check_environment(environment)}"


def partition(environment: str, hour: datetime) -> str:
    """Return the folder of an environment's rows of an hour (UTC)."""
    return f"{environment_folder(environment)}/date={hour:%Y-%m-%d}/hour={hour:%H}"


def hour_of(folder: str) -> datetime | None:
    """Return the hour (UTC) whose rows a folder holds; None if it is not a partition."""
    found = _HOUR_FOLDER.fullmatch(folder)
    try:
        return datetime.fromisoformat(f"{found[1]}T{found[2]}:00:00+00:00") if found else None
    except ValueError:
        return None


def hours(start: datetime, end: datetime) -> list[datetime]:
    """Return the hours (UTC) that overlap start <= time < end.

    Raises:
        ValueError: If a time has no zone, or if the end is not after the start.
    """
    if start.tzinfo is None or end.tzinfo is None:
        raise ValueError("start and end of a window need a time zone")
    if end <= start:
        raise ValueError(f"the window ends at {end.isoformat()}, not after its start at {start.isoformat()}")
    first = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    count = -((first - end) // HOUR)
    return [first + HOUR * n for n in range(count)]
