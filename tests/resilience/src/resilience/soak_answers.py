"""Answers of a soak: the right one for each mail, and the outcome of each request."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import bundle
from bench.corpus import sample
from bench.inprocess import score
from resilience.soak_rules import Failed

TOLERANCE = 1e-9
"""Largest difference between an answer's probability and the model's own."""
MAILS = 600
SIZE_CAP = 10_000
"""Most bytes of a mail."""


@dataclass(frozen=True)
class Truth:
    """Right answers for each mail, from the model in this process.

    Args:
        mails: Each mail as JSON text.
        scores: Spam probability of each.
        threshold: Probability at or above which a mail is spam.
        sha256: Digest of the bundle.
    """

    mails: Sequence[bytes]
    scores: Sequence[float]
    threshold: float
    sha256: str

    @classmethod
    def of(cls, model: Path, corpus: Path) -> "Truth":
        """Score a sample of the corpus by the bundle's model."""
        mails = sample(corpus, MAILS, SIZE_CAP)
        loaded = bundle.load(model)
        encoded = [json.dumps(mail).encode() for mail in mails]
        return cls(encoded, score(loaded, mails), loaded.manifest.threshold, loaded.sha256)


@dataclass(frozen=True, slots=True)
class Request:
    """Request with mails by their numbers in `Truth`.

    Args:
        mails: Numbers of one or more mails.
        is_batch: Whether it goes to batch-predict.
        environment: Environment that it is sent to.
        gateway: Number of the gateway that it is sent to.
        id: X-Request-ID; empty if the gateway makes one.
    """

    mails: tuple[int, ...]
    is_batch: bool
    environment: str
    gateway: int
    id: str

    @property
    def path(self) -> str:
        """Return the path of the operation."""
        return "/api/v1/batch-predict" if self.is_batch else "/api/v1/predict"

    def body(self, truth: Truth) -> bytes:
        """Return the JSON body."""
        if self.is_batch:
            return b'{"emails": [%b]}' % b", ".join(truth.mails[mail] for mail in self.mails)
        return b'{"email_content": %b}' % truth.mails[self.mails[0]]


def fault_of(request: Request, truth: Truth, headers: Mapping[str, str], answer: Any) -> str:
    """Return what is wrong with an answer 200; empty if nothing is."""
    expected: dict[str, Any] = {"environment": request.environment, "threshold": truth.threshold}
    expected["request_id"] = request.id or headers.get("X-Request-ID")
    if request.is_batch:
        expected["count"] = len(request.mails)
    for name, value in expected.items():
        if answer.get(name) != value:
            return f"{name} is {answer.get(name)!r}, not {value!r}"
    if headers.get("X-Request-ID") != answer["request_id"]:
        return f"header X-Request-ID is {headers.get('X-Request-ID')!r}, the answer's {answer['request_id']!r}"
    if headers.get("X-Model-SHA256") != truth.sha256:
        return f"X-Model-SHA256 is {headers.get('X-Model-SHA256')!r}, not {truth.sha256!r}"
    return _fault_of_verdicts(request, truth, answer["predictions"] if request.is_batch else [answer])


def _fault_of_verdicts(request: Request, truth: Truth, verdicts: Sequence[Any]) -> str:
    if len(verdicts) != len(request.mails):
        return f"{len(verdicts)} verdicts on {len(request.mails)} mails"
    for place, (mail, verdict) in enumerate(zip(request.mails, verdicts, strict=True)):
        right, found = truth.scores[mail], verdict["spam_probability"]
        if not abs(found - right) <= TOLERANCE:
            return f"mail {place} has probability {found}, not {right}"
        if verdict["prediction"] != ("spam" if found >= truth.threshold else "ham"):
            return f"mail {place} of probability {found} is called {verdict['prediction']!r}"
    return ""


def fault_of_problem(status: int, headers: Mapping[str, str], body: bytes) -> str:
    """Return what is wrong with an error's answer as problem details (RFC 9457); empty if nothing is."""
    if not headers.get("Content-Type", "").startswith("application/problem+json"):
        return f"{status} with Content-Type {headers.get('Content-Type')!r}"
    problem = json.loads(body)
    if problem.get("status") != status or not problem.get("detail") or not problem.get("request_id"):
        return f"{status} with the problem {problem!r}"
    if status == HTTPStatus.SERVICE_UNAVAILABLE and not headers.get("Retry-After", "").isdigit():
        return f"{status} without Retry-After"
    return ""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Request whose client got no verdict or left; its mails may have been scored nevertheless."""

    request: Request
    start: float
    end: float


@dataclass
class Ledger:
    """Outcomes of all requests."""

    answered: dict[tuple[str, str], tuple[float, float, int, tuple[int, ...]]] = field(default_factory=dict)
    """Start, end, gateway and mails of each request that was answered 200, by environment and request id.

    There are a million of them, so they are plain tuples of numbers, which the garbage collector does not follow.
    """
    unanswered: list[Unanswered] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Answers 200 that are not the request's own."""
    malformed: list[str] = field(default_factory=list)
    """Errors that are not problem details."""
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Number of answers by path and status."""
    sent: int = 0
    """Mails of all requests that were sent completely."""
    mails: int = 0
    """Mails that were answered 200."""
    cancelled: int = 0
    cut: int = 0
    """Requests that were never sent completely."""

    def note_answer(self, request: Request, start: float, end: float, request_id: str, fault: str) -> None:
        """Record an answer 200."""
        self.statuses[request.path, HTTPStatus.OK] += 1
        self.mails += len(request.mails)
        key = request.environment, request_id
        if key in self.answered:
            fault = fault or f"request id {request_id!r} was given to two requests"
        self.answered[key] = start, end, request.gateway, request.mails
        if fault:
            self.wrong.append(f"{request.environment}, {request_id}: {fault}")

    def note_failure(
        self, request: Request, start: float, end: float, status: int, detail: str, fault: str = ""
    ) -> None:
        """Record an answer that is an error, or a missing answer (status 0)."""
        if status:
            self.statuses[request.path, status] += 1
        self.unanswered.append(Unanswered(request, start, end))
        self.failed.append(Failed(start, end, request.gateway, request.environment, status, detail))
        if fault:
            self.malformed.append(fault)

    def note_cancelled(self, request: Request, start: float, end: float) -> None:
        """Record a request whose client left before its answer."""
        self.cancelled += 1
        self.unanswered.append(Unanswered(request, start, end))
