"""Shadow comparison: both models on the same mails of production."""

from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

import features
from evidence.check import Check, check
from evidence.errors import EvidenceError
from evidence.models import Side
from evidence.pairs import Floats, Interval, Ratio, quantile_ratios, wilson
from evidence.thresholds import Thresholds
from inferencelog import LogError, Prediction, ShadowWindow, open_shadow, printable, read_shadow

CONFIDENCE = 0.95
QUANTILES = (0.5, 0.99)
DISAGREEMENTS = 20
NAMED_FILES = 20
"""Most unreadable files that are named; all are counted."""
TIMED_MAILS = 100
"""Fewest mails for a latency ratio: of fewer, the 99th percentile is that of a single mail."""
KINDS: tuple[Prediction, Prediction] = ("spam", "ham")


@dataclass(frozen=True, slots=True)
class Agreement:
    """Number of mails on which both models predict the same."""

    mails: int
    agreed: int
    interval: Interval | None
    """Wilson interval at `CONFIDENCE`; None without mail."""

    @classmethod
    def of(cls, agreed: int, mails: int) -> "Agreement":
        """Return the agreement with its interval."""
        return cls(mails, agreed, wilson(agreed, mails, CONFIDENCE) if mails else None)

    @property
    def lower(self) -> float:
        """Return the lower bound of the interval; 0 without mail."""
        return self.interval[0] if self.interval else 0.0

    def __str__(self) -> str:
        """Return the agreement for a person."""
        if self.interval is None:
            return "0 mails"
        low, high = self.interval
        return f"{self.agreed} of {self.mails} mails, {self.agreed / self.mails:.2%} (95 % {low:.2%} to {high:.2%})"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Mail on which the models differ most. Its request identifies it; its text is stored nowhere."""

    request_id: str
    position: int
    time: str
    candidate_probability: float
    candidate_prediction: str
    production_probability: float
    production_prediction: str
    features: dict[str, float]


@dataclass(frozen=True, slots=True)
class ShadowResult:
    """Result of the comparison on production's mail."""

    start: datetime | None
    """Time of the first mail answered by exactly these models; None if there is none."""
    end: datetime | None
    agreement: Agreement
    by_production: dict[str, Agreement]
    """Agreement among the mails that production called spam, and among those that it called ham."""
    table: dict[str, dict[str, int]]
    """Number of mails by production's prediction, then by the candidate's."""
    requests: int
    differences: Floats
    """Candidate's probability - production's [n]."""
    latency: list[Ratio]
    """Ratios at `QUANTILES` over the timed mails; empty with fewer than `TIMED_MAILS`, or if a time is 0."""
    disagreements: list[Disagreement]
    window: ShadowWindow
    rows: pa.Table
    """Rows that were compared [n]."""
    unusable: int
    """Rows that were not compared because a value is impossible, such as a probability outside 0 to 1."""
    seconds: tuple[Floats, Floats]
    """Seconds of the candidate and of production for the timed mails [m].

    Timed mails are those that both models had in batches of the same size. Other times are not comparable: a shadow
    gathers many mails for a batch, and production sends a mail as soon as it arrives.
    """

    def as_json(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        tails = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
        spread = np.quantile(self.differences, tails).tolist() if len(self.differences) else []
        return {
            "start": self.start and self.start.isoformat(),
            "end": self.end and self.end.isoformat(),
            "agreement": asdict(self.agreement),
            "agreement_by_production": {kind: asdict(found) for kind, found in self.by_production.items()},
            "predictions": self.table,
            "requests": self.requests,
            "difference_quantiles": {f"{tail:g}": value for tail, value in zip(tails, spread, strict=False)},
            "latency": [asdict(ratio) for ratio in self.latency],
            "timed_mails": len(self.seconds[0]),
            "largest_disagreements": [asdict(each) for each in self.disagreements],
            "rows_of_other_models": self.window.other_models,
            "duplicate_rows": self.window.duplicates,
            "unusable_rows": self.unusable,
            "misplaced_rows": self.window.misplaced,
            "contradicting_duplicates": self.window.contradictions,
            "files": self.window.files,
            "unreadable": len(self.window.unreadable),
            "unreadable_files": dict(islice(self.window.unreadable.items(), NAMED_FILES)),
        }


def read_agreement(
    log_uri: str, candidate: Side, production: Side, start: datetime, end: datetime, label: bool = False
) -> ShadowResult:
    """Compare the two models on the mails that both have answered.

    Args:
        log_uri: Inference log.
        candidate: Model whose environment's shadowed mails are read.
        production: Model beside which rows count; rows beside any other are left out.
        start: Beginning of the period, with a time zone.
        end: First moment after the period.
        label: Whether to label the mails anew, by the thresholds that both models have in the target environment.

    Raises:
        EvidenceError: If the log cannot be read.
    """
    try:
        store = open_shadow(log_uri)
        window = read_shadow(store, candidate.environment, start, end, candidate.sha256, production.sha256)
    except LogError as error:
        raise EvidenceError(str(error)) from error
    return _compared(window, {"": candidate.threshold, "production_": production.threshold} if label else {})


def _labelled(table: pa.Table, side: str, threshold: float) -> pa.Table:
    """Return the rows with the predictions of a side that a threshold makes."""
    column = f"{side}prediction"
    predictions = np.where(_numbers(table, f"{side}probability") >= threshold, "spam", "ham")
    return table.set_column(table.schema.get_field_index(column), column, pa.array(predictions.tolist(), pa.string()))


_PROBABILITIES = ("probability", "production_probability")
_AMOUNTS = ("seconds", "production_seconds", "position", "batch_mails", "production_batch_mails", *features.NAMES)


def _usable(table: pa.Table) -> NDArray[np.bool_]:
    """Return which rows hold possible values in every column, because anybody may have written them."""
    large = float(np.finfo(np.float32).max)
    # NaN fails every comparison, and a missing number becomes NaN.
    checks = [_is_within(table, name, 1.0) for name in _PROBABILITIES]
    checks += [_is_within(table, name, large) for name in _AMOUNTS]
    for name in ("prediction", "production_prediction"):
        found = pc.is_in(table[name].cast(pa.string()), pa.array(KINDS))
        checks.append(found.to_numpy())
    checks.append(pc.is_valid(table["request_id"]).to_numpy())
    usable: NDArray[np.bool_] = np.logical_and.reduce(checks)
    return usable


def _is_within(table: pa.Table, name: str, most: float) -> NDArray[np.bool_]:
    values = _numbers(table, name)
    found: NDArray[np.bool_] = (values >= 0) & (values <= most)
    return found


def _compared(window: ShadowWindow, thresholds: dict[str, float]) -> ShadowResult:
    table = window.table.filter(pa.array(_usable(window.table)))
    for side, threshold in thresholds.items():
        table = _labelled(table, side, threshold)
    ours, theirs = (_texts(table, f"{side}prediction") for side in ("", "production_"))
    pairs = Counter(zip(theirs, ours, strict=True))
    counts: dict[str, dict[str, int]] = {kind: {other: pairs[kind, other] for other in KINDS} for kind in KINDS}
    differences = _numbers(table, "probability") - _numbers(table, "production_probability")
    timed = table.filter(pc.equal(table["batch_mails"], table["production_batch_mails"]))
    seconds = (_numbers(timed, "seconds"), _numbers(timed, "production_seconds"))
    times = table["time"].to_pylist()
    return ShadowResult(
        start=times[0] if times else None,
        end=times[-1] if times else None,
        agreement=Agreement.of(sum(counts[kind][kind] for kind in KINDS), table.num_rows),
        by_production={kind: Agreement.of(counts[kind][kind], sum(counts[kind].values())) for kind in KINDS},
        table=counts,
        requests=pc.count_distinct(table["request_id"]).as_py(),
        differences=differences,
        latency=_latency(timed, *seconds),
        disagreements=_largest(table, differences),
        window=window,
        rows=table,
        unusable=window.table.num_rows - table.num_rows,
        seconds=seconds,
    )


def _texts(table: pa.Table, column: str) -> list[str]:
    found: list[str] = table[column].cast(pa.string()).to_pylist()
    return found


def _numbers(table: pa.Table, column: str) -> Floats:
    found: Floats = table[column].to_numpy()
    return found


def _latency(table: pa.Table, candidate: Floats, production: Floats) -> list[Ratio]:
    if not (len(candidate) >= TIMED_MAILS and candidate.min() > 0 and production.min() > 0):
        return []
    groups = table["request_id"].to_numpy()
    return quantile_ratios(candidate, production, groups, QUANTILES, CONFIDENCE)


def _largest(table: pa.Table, differences: Floats) -> list[Disagreement]:
    """Return the largest disagreements: different predictions first, then by difference of probabilities."""
    if not table.num_rows:
        return []
    differs = np.array(_texts(table, "prediction")) != np.array(_texts(table, "production_prediction"))
    order = np.lexsort((-np.abs(differences), ~differs))[: (differs | (differences != 0)).sum()][:DISAGREEMENTS]
    rows = table.take(pa.array(order)).to_pylist()
    return [_disagreement(row) for row in rows]


def _disagreement(row: dict[str, Any]) -> Disagreement:
    return Disagreement(
        request_id=printable(row["request_id"], 256),
        position=row["position"],
        time=row["time"].isoformat(),
        candidate_probability=row["probability"],
        candidate_prediction=row["prediction"],
        production_probability=row["production_probability"],
        production_prediction=row["production_prediction"],
        features={name: row[name] for name in features.NAMES},
    )


_LONGER = "let staging be shadowed for longer, or raise the share of mail that is"
_LOOK = "look at the largest disagreements in evidence.md: which model is right about them?"


def check_shadow(found: ShadowResult, thresholds: Thresholds) -> list[Check]:
    """Return checks of whether there is enough mail, and whether both models answer it alike and equally fast."""
    enough = check(
        "shadowed mails",
        found.agreement.mails >= thresholds.minimum_mails,
        f"{found.agreement.mails} of exactly these models",
        f"at least {thresholds.minimum_mails}",
        f"{_LONGER}; {found.window.other_models} rows are of other models",
    )
    return [enough, *_check_agreement(found, thresholds), *_check_latency(found, thresholds)]


def _check_agreement(found: ShadowResult, thresholds: Thresholds) -> list[Check]:
    asked = {"": (found.agreement, thresholds.minimum_agreement)}
    for kind, agreement in found.by_production.items():
        asked[f" where production said {kind}"] = (agreement, thresholds.minimum_agreement_each)
    return [
        check(
            f"agreement{where}",
            agreement.lower >= least,
            str(agreement),
            f"lower bound at least {least:.1%}",
            _advice(agreement, least),
        )
        for where, (agreement, least) in asked.items()
    ]


def _advice(agreement: Agreement, least: float) -> str:
    share = agreement.agreed / agreement.mails if agreement.mails else 1.0
    if share <= least:
        return _LOOK
    return f"the share itself is above {least:.1%}, and too few mails prove it: {_LONGER}"


def _check_latency(found: ShadowResult, thresholds: Thresholds) -> list[Check]:
    limits = (thresholds.maximum_latency_ratio, thresholds.maximum_latency_ratio_p99)
    names = ("latency, median", "latency, 99th percentile")
    timed = len(found.seconds[0])
    if not found.latency:
        too_few = f"{timed} mails that both had in batches of one size; {TIMED_MAILS} are needed, with times above 0"
        return [
            Check(name, "refused", too_few, f"upper bound at most {limit:g} times", _LONGER)
            for name, limit in zip(names, limits, strict=True)
        ]
    return [
        check(
            name,
            ratio.interval[1] <= limit,
            f"{ratio.candidate * 1000:.2f} ms against {ratio.production * 1000:.2f} ms, {ratio.ratio:.2f} times"
            f" (95 % {ratio.interval[0]:.2f} to {ratio.interval[1]:.2f}), {timed} mails",
            f"upper bound at most {limit:g} times",
            "compare sizes and limits of both environments' pods first: staging's may be smaller",
        )
        for name, limit, ratio in zip(names, limits, found.latency, strict=True)
    ]
