"""Evidence of `make evidence` about a model that is to be promoted.

It is parsed here and not with the package `evidence`, which requires scikit-learn although a promotion computes
nothing. The file is not signed: it keeps honest people from forgetting, and code owners see its table in the commit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from inferencelog import ENVIRONMENT_PATTERN, is_plain, one_line
from release import chart
from release.errors import ReleaseError
from release.faults import first_fault
from release.releasefile import Pins

AHEAD = timedelta(minutes=5)
"""Longest time that evidence may lie in the future, for clocks that differ."""
EVIDENCE_BYTES = 16 * 1024 * 1024
"""Most bytes of evidence.json; it usually has about 50 kB."""
REASON_CHARACTERS = 500
"""Most characters of a reason to promote without evidence, which becomes one line of the commit message."""
LINE_CHARACTERS = 1_000
MOST_SECONDS = 366 * 24 * 3600.0


def _line(text: str) -> str:
    if text and not is_plain(text, LINE_CHARACTERS):
        raise ValueError(f"must be one line of at most {LINE_CHARACTERS} printable characters")
    return text


Line = Annotated[str, AfterValidator(_line)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    """Part of evidence.json that is read; the rest is for people."""

    model_config = ConfigDict(strict=True)


class _Side(_Part):
    environment: Annotated[str, Field(pattern=f"^{ENVIRONMENT_PATTERN}$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
    sha256: Sha256


class _Check(_Part):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ,.%()-]{0,99}$")]
    """Name without a colon, so that it cannot pretend to be a line of the commit message."""
    outcome: Literal["accepted", "refused", "told"]
    measured: Line
    threshold: Line


class _Thresholds(_Part):
    maximum_age_seconds: Annotated[float, Field(ge=0, le=MOST_SECONDS, allow_inf_nan=False)]


class _Evidence(_Part):
    format: Literal[1]
    outcome: Literal["accepted", "refused"]
    made: AwareDatetime
    candidate: _Side
    production: _Side
    checks: Annotated[list[_Check], Field(min_length=1, max_length=100)]
    thresholds: _Thresholds
    configured: dict[str, Any]


_OVERRIDE = 'or promote without, and say why: make promote WITHOUT_EVIDENCE="reason"'


@dataclass(frozen=True, slots=True)
class Asked:
    """Promotion of a model that needs evidence."""

    root: Path
    source: str
    target: str
    before: Pins
    after: Pins
    now: datetime


def summary(path: Path, asked: Asked, without: str | None) -> list[str]:
    """Return lines for the commit message: the table of checks, or the reason why there is none.

    A promotion that does not change the model needs no evidence, because evidence compares models and not images.

    Args:
        path: Path of evidence.json.
        asked: Promotion to check.
        without: Reason to promote without evidence, if any.

    Raises:
        ReleaseError: If there is no evidence, or if it is refused, too old, or about other models or thresholds.
    """
    if asked.before.model_sha256 == asked.after.model_sha256:
        return ["Evidence: none needed, the model is unchanged"]
    if without is None:
        return list(_table(_checked(path, asked)))
    reason = _reason(without)
    try:
        return [f"PROMOTED WITHOUT EVIDENCE: {reason}", "", *_table(_checked(path, asked))]
    except ReleaseError as error:
        return [f"PROMOTED WITHOUT EVIDENCE: {reason}", f"    {str(error).removesuffix(f'; {_OVERRIDE}')}"]


def _reason(text: str) -> str:
    reason = " ".join(text.split())
    if not reason:
        raise ReleaseError("the reason to promote without evidence is empty; it becomes part of the commit, so say it")
    if not is_plain(reason, REASON_CHARACTERS):
        raise ReleaseError(
            f"the reason to promote without evidence must be at most {REASON_CHARACTERS} printable characters; it"
            " becomes a line of the commit, so say it shortly and without control characters"
        )
    return reason


def _checked(path: Path, asked: Asked) -> _Evidence:
    try:
        content = _Evidence.model_validate_json(_content(path))
    except ValidationError as error:
        why = first_fault(error)
        raise ReleaseError(f"{path} is no evidence of this version ({why}): run make evidence") from None
    for why in _objections(content, asked):
        raise ReleaseError(f"{path}: {why}; {_OVERRIDE}")
    return content


def _content(path: Path) -> bytes:
    if not path.exists():
        raise ReleaseError(f"there is no evidence for the model, {path}: run make evidence; {_OVERRIDE}")
    # Check the kind first: opening a pipe would block.
    if not path.is_file() or path.stat().st_size > EVIDENCE_BYTES:
        raise ReleaseError(f"{path} is no file of at most {EVIDENCE_BYTES:,} bytes: run make evidence")
    try:
        return path.read_bytes()
    except OSError as error:
        raise ReleaseError(f"{path} cannot be read ({error.strerror}): run make evidence") from None


def _objections(content: _Evidence, asked: Asked) -> Iterator[str]:
    """Yield the objections to evidence, the most important first."""
    sides = (
        ("candidate", content.candidate, asked.source, asked.after),
        ("production", content.production, asked.target, asked.before),
    )
    for side, found, environment, pins in sides:
        if (found.environment, found.sha256) != (environment, pins.model_sha256):
            yield (
                f"it is of {found.environment}'s model {found.version} ({found.sha256[:12]}) as {side}, and"
                f" {environment} pins {pins.model_version} ({pins.model_sha256[:12]}): run make evidence"
            )
    refused = [check.name for check in content.checks if check.outcome == "refused"]
    if content.outcome != "accepted" or refused:
        yield f"the model is refused: {', '.join(refused) or content.outcome}; evidence.md says what to do"
    age = asked.now - content.made
    oldest = timedelta(seconds=content.thresholds.maximum_age_seconds)
    if not -AHEAD <= age <= oldest:
        yield f"it was made at {content.made.isoformat()}, and may be {oldest} old: run make evidence"
    if content.configured != _configured(asked):
        yield f"{asked.target}'s thresholds have changed since it was made: run make evidence"


def _configured(asked: Asked) -> Any:
    """Return the current thresholds from the target's config.yaml."""
    path = asked.root / chart.ENVIRONMENTS / asked.target / "config.yaml"
    try:
        content = yaml.safe_load(path.read_text()) if path.is_file() else None
    except (yaml.YAMLError, ValueError) as error:
        raise ReleaseError(f"{path} is no YAML: {one_line(error)}; correct it") from None
    return (content.get("evidence") if isinstance(content, dict) else None) or {}


def _table(content: _Evidence) -> Iterator[str]:
    yield f"Evidence: {content.outcome}, made {content.made.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    for check in content.checks:
        yield f"    {check.outcome:9}{check.name}: {check.measured} (asked: {check.threshold})"
