"""Record of a request: what the gateway learns of it on the way, for its log line, its span and the metrics."""

from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Scope

from gateway.problems import MEDIA_TYPE, Problem
from runtime.tracing import Span

_SCOPE_KEY = "gateway.request_record"


@dataclass(slots=True)
class RequestRecord:
    """One request and its answer. A field that is None or False has no value yet, and no place in the log line."""

    request_id: str
    trace_id: str | None = None
    """Id of its trace, if it is sampled."""
    key: str | None = None
    """Name of its API key."""
    environment: str | None = None
    """Environment that the request is for, once that is known to exist."""
    body_late: bool = False
    """Whether its body took too long."""
    mails: int | None = None
    """Number of its mails, if it is a batch-predict request."""
    answered_by: str | None = None
    """Environment that answered, if a canary had the request."""
    problem: str | None = None
    """Kind of the problem that it was answered with."""
    batch_id: str | None = None
    """Id of the batch that failed."""
    refused_before: int | None = None
    """Number of refusals without a log line that its own line counts."""
    answered_before: int | None = None
    """Number of answered pages without a log line that its own line counts."""
    quiet: bool = False
    """Whether another request's log line counts this one."""
    may_go_to_canary: bool = True
    """Whether another environment than the one it names may answer it."""
    span: Span | None = None
    """Its span, if it is sampled."""

    def begin(self, scope: Scope) -> None:
        """Keep this record in the request's scope."""
        scope[_SCOPE_KEY] = self

    def response(self, problem: Problem) -> Response:
        """Return the response to a problem, and note the kind of problem for the log line."""
        self.problem = problem.kind
        if problem.batch_id:
            self.batch_id = problem.batch_id
        return Response(problem.body(self.request_id), problem.status.value, problem.headers(), MEDIA_TYPE)

    def logged(self) -> dict[str, str | int]:
        """Return the fields of the log line, in their order."""
        # Spelled out: a loop over the names costs each request half a microsecond more.
        line: dict[str, str | int] = {"request_id": self.request_id}
        if self.trace_id is not None:
            line["trace_id"] = self.trace_id
        if self.key is not None:
            line["key"] = self.key
        if self.environment is not None:
            line["environment"] = self.environment
        if self.body_late:
            line["body_late"] = True
        if self.mails is not None:
            line["mails"] = self.mails
        if self.answered_by is not None:
            line["answered_by"] = self.answered_by
        if self.problem is not None:
            line["problem"] = self.problem
        if self.batch_id is not None:
            line["batch_id"] = self.batch_id
        if self.refused_before is not None:
            line["refused_before"] = self.refused_before
        if self.answered_before is not None:
            line["answered_before"] = self.answered_before
        return line


def record_of(scope: Scope) -> RequestRecord:
    """Return the record of a request that has passed the access log."""
    record: RequestRecord = scope[_SCOPE_KEY]
    return record
