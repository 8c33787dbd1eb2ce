"""Newest drift report of an environment."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from evidence.check import Check, check, unproven
from evidence.errors import EvidenceError
from evidence.models import Side
from evidence.thresholds import Thresholds
from inferencelog import LogError, Store, one_line, open_store
from inferencelog.bounded import ForeignFileError, read_whole
from inferencelog.schema import environment_folder
from release.faults import first_fault

FOLDER = "_drift"
REPORT = "report.json"
DRIFT, NO_DRIFT = "drift", "no drift"


MEASURES = 100
"""Most measures that a report may name."""
REPORT_BYTES = 8 * 1024 * 1024
"""Most bytes of a report; the detector's own has about 50 kB."""


class _Part(BaseModel):
    """Part of a report that is read. Every field is bounded, because any writer to the log can leave a report there."""

    model_config = ConfigDict(strict=True)


class _Window(_Part):
    end: AwareDatetime


class _Measure(_Part):
    measure: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]


class _Baseline(_Part):
    model_sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]


class _Report(_Part):
    status: Literal["drift", "no drift", "insufficient data"]
    window: _Window
    rows: Annotated[int, Field(ge=0, le=10**12)]
    drifted: Annotated[list[_Measure], Field(max_length=MEASURES)]
    baseline: _Baseline


@dataclass(frozen=True, slots=True)
class DriftState:
    """Outcome of one drift report."""

    environment: str
    status: str
    """Status: `drift`, `no drift` or `insufficient data`."""
    end: str
    """End of the period that was compared, an ISO time."""
    rows: int
    drifted: list[str]
    """Names of the measures that have drifted."""
    model_sha256: str
    uri: str

    def as_json(self) -> dict[str, Any]:
        """Return the outcome for JSON."""
        return asdict(self)


def newest_report(log_uri: str, side: Side, start: datetime) -> DriftState | None:
    """Return the report of the latest period about exactly this model; None if there is none since `start`.

    Args:
        log_uri: Inference log; its reports lie in `_drift`.
        side: Environment and its model.
        start: Time with a zone; reports of periods that ended before it do not count.

    Raises:
        EvidenceError: If the reports cannot be read.
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
                state = _state(side.environment, store, path)
                if state.model_sha256 == side.sha256:
                    yield state


def _state(environment: str, store: Store, path: str) -> DriftState:
    uri = one_line(store.uri(path), 500)
    try:
        found = _Report.model_validate_json(_content(store, path))
    except ForeignFileError as error:
        raise EvidenceError(f"{uri} is no report of the drift detector ({error}); {_REMOVE}") from None
    except ValidationError as error:
        why = first_fault(error)
        raise EvidenceError(f"{uri} is no report of the drift detector ({why}); {_REMOVE}") from None
    return DriftState(
        environment=environment,
        status=found.status,
        end=found.window.end.isoformat(),
        rows=found.rows,
        drifted=[each.measure for each in found.drifted],
        model_sha256=found.baseline.model_sha256,
        uri=uri,
    )


_REMOVE = "remove it, or run the detector again"


def _content(store: Store, path: str) -> bytes:
    def before(size: int) -> None:
        if size > REPORT_BYTES:
            raise ForeignFileError(f"has {size:,} bytes; at most {REPORT_BYTES:,} are read")

    found: pa.Buffer = read_whole(store, path, before)
    return bytes(found)


_ASKED = "the newest report says no drift"
_LOOK = "read the report: is it the mail that has changed, or the model's answers? Mend the model, or its baseline"


def check_drift(candidate: DriftState | None, production: DriftState | None, thresholds: Thresholds) -> list[Check]:
    """Return checks of whether the candidate's mail or answers have drifted; production's drift is information only."""
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
