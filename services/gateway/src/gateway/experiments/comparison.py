"""Comparison of two models' answers to the same mails, counted by pair of model versions.

prometheus_client's histograms take a lock and a loop for each value. For every production mail that would cost more
than the rest of shadowing. So this module counts by itself and builds metrics when they are scraped.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from contract.tensors import PREDICTIONS
from gateway.metrics import SECONDS
from gateway.predictions.mails import Mail, Verdicts

MAX_PAIRS = 8
"""Version pairs that one process counts separately; later ones are counted under `OTHER`."""
OTHER = "other"
SIDES = ("production", "candidate")
DIFFERENCES = (-0.5, -0.25, -0.1, -0.05, -0.01, -0.001, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0)

Versions = tuple[str, str]
"""Versions of production's model and of the candidate's."""


class Distribution:
    """Histogram: how many values were at most each bound."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float, times: int = 1) -> None:
        """Count a value this many times."""
        self._counts[bisect_left(self._bounds, value)] += times
        self._sum += value * times

    def sample(self) -> tuple[list[tuple[str, float]], float | None]:
        """Return cumulative buckets as Prometheus has them, and the sum. The sum is None if values may be negative."""
        buckets, total = [], 0
        for bound, count in zip([*self._bounds, float("inf")], self._counts, strict=True):
            total += count
            buckets.append(("+Inf" if bound == float("inf") else str(float(bound)), float(total)))
        return buckets, None if self._bounds[0] < 0 else self._sum


class Pair:
    """Mails that two models have both answered."""

    def __init__(self) -> None:
        self.predictions = {(production, candidate): 0 for production in PREDICTIONS for candidate in PREDICTIONS}
        """Mails by production's and the candidate's verdict."""
        self.differences = Distribution(DIFFERENCES)
        """The candidate's spam probability minus production's."""
        self.seconds = {side: Distribution(SECONDS) for side in SIDES}
        """Seconds from the departure of a mail's batch to its answer, counted for each mail."""

    def add(self, production: Verdicts, candidate: Verdicts) -> None:
        """Count the mails that these two answers are for."""
        self.seconds["production"].add(production.seconds, len(production.predictions))
        self.seconds["candidate"].add(candidate.seconds, len(candidate.predictions))
        for pair in zip(production.predictions, candidate.predictions, strict=True):
            self.predictions[pair] += 1
        for ours, theirs in zip(production.probabilities, candidate.probabilities, strict=True):
            self.differences.add(theirs - ours)


class Comparison(Collector):
    """All version pairs that one gateway has seen, as metrics."""

    def __init__(self) -> None:
        # Present from the start, so that panels and alerts find the series before there is anything to compare.
        self.pairs: dict[Versions, Pair] = {(OTHER, OTHER): Pair()}

    def add(self, production: Verdicts, candidate: Verdicts) -> None:
        """Count the mails that these two answers are for."""
        self._pair((production.model_version, candidate.model_version)).add(production, candidate)

    def _pair(self, versions: Versions) -> Pair:
        found = self.pairs.get(versions)
        if found is not None:
            return found
        if len(self.pairs) > MAX_PAIRS:
            return self.pairs[OTHER, OTHER]
        return self.pairs.setdefault(versions, Pair())

    def collect(self) -> Iterator[Metric]:
        """Return the metrics as they stand."""
        versions = ["production_version", "candidate_version"]
        table = CounterMetricFamily(
            "gateway_shadow_pairs",
            "Shadowed mails by what both models said",
            labels=[*versions, "production_prediction", "candidate_prediction"],
        )
        differences = HistogramMetricFamily(
            "gateway_shadow_difference",
            "Spam probability of shadowed mails, the candidate's less production's",
            labels=versions,
        )
        seconds = HistogramMetricFamily(
            "gateway_shadow_seconds",
            "Time from the departure of a shadowed mail's batch to its answer",
            labels=["side", *versions],
        )
        for names, pair in list(self.pairs.items()):
            for said, mails in pair.predictions.items():
                table.add_metric([*names, *said], mails)
            differences.add_metric([*names], *pair.differences.sample())
            for side, taken in pair.seconds.items():
                seconds.add_metric([side, *names], *taken.sample())
        yield from (table, differences, seconds)


def parts(answer: Verdicts, sizes: Iterable[int]) -> Iterator[Verdicts]:
    """Cut an answer into those for its first n mails, the next m, and so on."""
    start = 0
    for n in sizes:
        end = start + n
        yield Verdicts(
            answer.probabilities[start:end],
            answer.predictions[start:end],
            answer.model_version,
            answer.model_sha256,
            answer.seconds,
            answer.batch_mails,
            answer.threshold,
        )
        start = end


@dataclass(slots=True)
class Piece:
    """Mails of one request that production answered together."""

    mails: Sequence[Mail]
    sizes: Sequence[int]
    """Bytes of each mail."""
    answer: Verdicts
    first: int
    """Position of the first mail within the request."""
    size: int
    since: float

    def halves(self) -> "list[Piece]":
        """Return this piece, of two mails or more, cut in two."""
        middle = len(self.mails) // 2
        answers = parts(self.answer, (middle, len(self.mails) - middle))
        return [
            replace(
                self,
                mails=self.mails[start:end],
                sizes=self.sizes[start:end],
                answer=answer,
                first=self.first + start,
                size=sum(self.sizes[start:end]),
            )
            for answer, start, end in zip(answers, (0, middle), (middle, len(self.mails)), strict=True)
        ]
