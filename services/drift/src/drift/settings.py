"""Settings of the drift detector, from environment variables and the command line."""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import AnyHttpUrl, BaseSettings, Field, validator

from drift.limits import DriftLimits
from drift.period import Period, parse_period
from inferencelog import WINDOW_ROWS
from inferencelog.schema import check_environment


class DriftSettings(BaseSettings):
    """Settings of one run. Each is an environment variable in capitals and an option `--name`; the option wins."""

    environment: str = Field(description="whose mail is compared, such as production")
    inference_log_uri: str = Field(min_length=1, description="the log: file:///folder, s3://bucket/prefix, or a path")
    baseline_uri: str = Field(min_length=1, description="the file to compare with, baseline.parquet: path or URI")
    report_uri: str = Field("", description="where reports go (default: _drift in the log)")
    window: str = Field("", description="60m, 6h, 7d: up to now; START/END (default: the last full hour, UTC)")
    minimum_rows: int = Field(200, ge=1, description="fewer are insufficient data (default: 200)")
    maximum_rows: int = Field(
        WINDOW_ROWS, ge=1, description=f"more in one window are an error, for want of memory (default: {WINDOW_ROWS})"
    )
    false_alarm_rate: float = Field(
        0.001, gt=0, lt=1, description="chance of an alarm without drift in one window (default: 0.001)"
    )
    minimum_change: float = Field(
        0.02, ge=0, le=1, description="smaller differences are never drift, 0 to 1 (default: 0.02)"
    )
    model_sha256: str = Field(
        "",
        regex="^([0-9a-f]{64})?$",
        description="of the released model.json; baselines of other models are refused",
    )
    spam_threshold: float | None = Field(
        None, gt=0, lt=1, description="the environment's own, if it has one (default: the one of the baseline's model)"
    )
    pushgateway_url: AnyHttpUrl | None = Field(None, description="Pushgateway for the gauges (default: none)")

    @validator("environment")
    def _can_be_part_of_a_path(cls, value: str) -> str:
        return check_environment(value)

    @validator("window")
    def _can_be_parsed(cls, value: str) -> str:
        parse_period(value, datetime.now(UTC))
        return value

    @validator("pushgateway_url", "spam_threshold", pre=True)
    def _empty_is_none(cls, value: str | None) -> str | None:
        return value or None

    @property
    def report_root(self) -> str:
        """Return the URI under which reports lie."""
        return self.report_uri or f"{self.inference_log_uri.rstrip('/')}/_drift"

    @property
    def limits(self) -> DriftLimits:
        """Return the limits of the drift decision."""
        return DriftLimits(self.false_alarm_rate, self.minimum_change)

    def period(self, now: datetime) -> Period:
        """Return the period to compare."""
        return parse_period(self.window, now)


def read_settings(arguments: Sequence[str] | None = None) -> DriftSettings:
    """Return the settings of the command line, completed by those of the environment.

    Raises:
        pydantic.ValidationError: If a setting is missing or wrong.
    """
    parser = _parser()
    given = vars(parser.parse_args(arguments))
    start, end, last = (given.pop(name, None) for name in ("start", "end", "last"))
    if (start is None) != (end is None):
        parser.error("--start and --end belong together")
    if (start is not None) + (last is not None) + ("window" in given) > 1:
        parser.error("give one of --start and --end, --last, --window")
    if start is not None:
        given["window"] = f"{start}/{end}"
    if last is not None:
        given["window"] = last
    return DriftSettings(**given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="drift-detector",
        description="Compare a stretch of the inference log with a baseline; exit 0 whether or not mail has changed, "
        "1 when that cannot be said. Each option is also an environment variable: --minimum-rows, MINIMUM_ROWS.",
        argument_default=argparse.SUPPRESS,
    )
    for name, field in DriftSettings.__fields__.items():
        parser.add_argument(f"--{name.replace('_', '-')}", help=_escaped(field.field_info.description))
    parser.add_argument("--start", help="first moment of the window, an ISO time with a zone")
    parser.add_argument("--end", help="first moment after the window")
    parser.add_argument("--last", help="the last 60m, 6h or 7d up to now, the same as --window 60m")
    return parser


def _escaped(text: Any) -> str:
    return str(text).replace("%", "%%")
