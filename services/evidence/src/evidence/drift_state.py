"""What the newest drift report of an environment says."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from evidence.check import Check, check, unproven
from evidence.errors import EvidenceError
from evidence.models import Side
from evidence.thresholds import Thresholds
from inferencelog import LogError, Store, open_store
from inferencelog.schema import environment_folder

FOLDER = "_drift"
REPORT = "report.json"
DRIFT, NO_DRIFT = "drift", "no drift"


@dataclass(frozen=True, slots=True)
class DriftState:
    """One report."""

    environment: str
    status: str
    """`drift`, `no drift` or `insufficient data`."""
    end: str
    """Of the period that was compared, an ISO time."""
    rows: int
    drifted: list[str]
    """Names of measures."""
    model_sha256: str
    uri: str

    def as_json(self) -> dict[str, Any]:
        """The report's gist as JSON takes it."""
        return asdict(self)


def newest_report(log_uri: str, side: Side, start: datetime) -> DriftState | None:
    """The report of the latest period, about exactly this model; None where there is none since the start.

    Args:
        log_uri: The inference log, in whose `_drift` reports lie.
        side: The environment and its model.
        start: Reports of periods that ended before do not count; with a zone.

    Raises:
        EvidenceError: The reports cannot be read.
    """
    try:
        store = open_store(f"{log_uri.rstrip('/')}/{FOLDER}")
        for date in reversed(store.folders(environment_folder(side.environment))):
            found = [state for state in _states(store, side, date) if datetime.fromisoformat(state.end) >= start]
            if found:
                return max(found, key=lambda state: datetime.fromisoformat(state.end))
            if date.rpartition("=")[2] < f"{start:%Y-%m-%d}":
                return None
    except LogError as error:
        raise EvidenceError(str(error)) from error
    return None


def _states(store: Store, side: Side, date: str) -> Iterator[DriftState]:
    for hour in store.folders(date):
        for path in store.files(hour):
            if path.endswith(f"/{REPORT}"):
                state = _state(side.environment, store.read(path), store.uri(path))
                if state.model_sha256 == side.sha256:
                    yield state


def _state(environment: str, data: bytes, uri: str) -> DriftState:
    try:
        content = json.loads(data)
        return DriftState(
            environment=environment,
            status=content["status"],
            end=content["window"]["end"],
            rows=content["rows"],
            drifted=[each["measure"] for each in content["drifted"]],
            model_sha256=content["baseline"]["model_sha256"],
            uri=uri,
        )
    except (ValueError, LookupError, TypeError) as error:
        raise EvidenceError(
            f"{uri} is no report of the drift detector ({error!r}); remove it, or run it again"
        ) from None


_ASKED = "the newest report says no drift"
_LOOK = "read the report: is it the mail that has changed, or the model's answers? Mend the model, or its baseline"


def check_drift(candidate: DriftState | None, production: DriftState | None, thresholds: Thresholds) -> list[Check]:
    """Whether the candidate's mail or answers have drifted; production's are only told."""
    return [_candidate(candidate, thresholds), _production(production)]


def _candidate(state: DriftState | None, thresholds: Thresholds) -> Check:
    if state is not None and state.status == DRIFT and not thresholds.allow_drift:
        return check("drift, candidate", False, _said(state), _ASKED, f"{_LOOK}: {state.uri}")
    if state is None or state.status != NO_DRIFT:
        required = thresholds.require_drift_report and (state is None or state.status != DRIFT)
        advice = "send enough mail to the candidate's environment and let its drift job run"
        return unproven("drift, candidate", required, _said(state), _ASKED, advice)
    return check("drift, candidate", True, _said(state), _ASKED, "")


def _production(state: DriftState | None) -> Check:
    return Check("drift, production", "told", _said(state), "none")


def _said(state: DriftState | None) -> str:
    if state is None:
        return "no report about this model in the period"
    of = f" of {', '.join(state.drifted)}" if state.drifted else ""
    return f"{state.status}{of}, {state.rows} mails until {state.end}"
