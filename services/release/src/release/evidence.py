"""What `make evidence` has found out about a model that is to be promoted.

Read here rather than with the package `evidence`: that brings scikit-learn, and a promotion computes nothing. The file
is no signed document: it keeps honest people from forgetting, and the code owners see its table in the commit.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from release import chart
from release.errors import ReleaseError
from release.releasefile import Pins

FORMAT = 1
AHEAD = timedelta(minutes=5)
"""By how much the clock that evidence was made by may be ahead of this one."""

_OVERRIDE = 'or promote without, and say why: make promote WITHOUT_EVIDENCE="reason"'


@dataclass(frozen=True, slots=True)
class Asked:
    """A promotion of a model, as far as evidence has to be of it."""

    root: Path
    source: str
    target: str
    before: Pins
    after: Pins
    now: datetime


def summary(path: Path, asked: Asked, without: str | None) -> list[str]:
    """Lines for the commit's message: the table of checks, or why there is none.

    A promotion that leaves the model as it is needs no evidence: evidence compares models, and has nothing to say about
    images.

    Args:
        path: evidence.json.
        asked: What is promoted.
        without: Why it is to be promoted without evidence, if it is.

    Raises:
        ReleaseError: There is no evidence, or it is refused, too old, or of other models or thresholds.
    """
    if asked.before.model_sha256 == asked.after.model_sha256:
        return ["Evidence: none needed, the model is unchanged"]
    if without is None:
        return list(_table(_checked(path, asked)))
    reason = " ".join(without.split())
    if not reason:
        raise ReleaseError("the reason to promote without evidence is empty; it becomes part of the commit, so say it")
    try:
        return [f"PROMOTED WITHOUT EVIDENCE: {reason}", "", *_table(_checked(path, asked))]
    except ReleaseError as error:
        return [f"PROMOTED WITHOUT EVIDENCE: {reason}", f"    {str(error).removesuffix(f'; {_OVERRIDE}')}"]


def _checked(path: Path, asked: Asked) -> dict[str, Any]:
    try:
        return _whole(path, asked)
    except (LookupError, TypeError, ValueError) as error:
        raise ReleaseError(f"{path} is no evidence of this version ({error!r}): run make evidence") from None


def _whole(path: Path, asked: Asked) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ReleaseError(f"there is no evidence for the model, {path}: run make evidence; {_OVERRIDE}") from None
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']}, not {FORMAT}")
    for why in _objections(content, asked):
        raise ReleaseError(f"{path}: {why}; {_OVERRIDE}")
    return content


def _objections(content: dict[str, Any], asked: Asked) -> Iterator[str]:
    """What is wrong with evidence, the most telling first."""
    sides = (("candidate", asked.source, asked.after), ("production", asked.target, asked.before))
    for side, environment, pins in sides:
        found = content[side]
        if (found["environment"], found["sha256"]) != (environment, pins.model_sha256):
            yield (
                f"it is of {found['environment']}'s model {found['version']} ({found['sha256'][:12]}) as {side}, and"
                f" {environment} pins {pins.model_version} ({pins.model_sha256[:12]}): run make evidence"
            )
    refused = [check["name"] for check in content["checks"] if check["outcome"] == "refused"]
    if content["outcome"] != "accepted" or refused:
        yield f"the model is refused: {', '.join(refused) or content['outcome']}; evidence.md says what to do"
    age = asked.now - datetime.fromisoformat(content["made"])
    oldest = timedelta(seconds=content["thresholds"]["maximum_age_seconds"])
    if not -AHEAD <= age <= oldest:
        yield f"it was made at {content['made']}, and may be {oldest} old: run make evidence"
    if content["configured"] != _configured(asked):
        yield f"{asked.target}'s thresholds have changed since it was made: run make evidence"


def _configured(asked: Asked) -> Any:
    """The thresholds of today, as they stand in the target's config.yaml."""
    path = asked.root / chart.ENVIRONMENTS / asked.target / "config.yaml"
    content = yaml.safe_load(path.read_text()) if path.is_file() else None
    return (content.get("evidence") if isinstance(content, dict) else None) or {}


def _table(content: dict[str, Any]) -> Iterator[str]:
    made = datetime.fromisoformat(content["made"]).astimezone(UTC)
    yield f"Evidence: {content['outcome']}, made {made:%Y-%m-%d %H:%M} UTC"
    for check in content["checks"]:
        yield f"    {check['outcome']:9}{check['name']}: {check['measured']} (asked: {check['threshold']})"
