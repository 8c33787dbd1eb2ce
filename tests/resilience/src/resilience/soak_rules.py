"""Rules of a soak: which failed requests the faults explain, and which nothing does.

A request that got no answer is explained by the end of its own gateway alone: the gateway was killed by `kill -9`,
and was not up again, at some moment between the request's start and its end. A restart by SIGTERM explains nothing,
since a gateway drains.

A 5xx answer is explained in two cases:

- Both replicas of one tier of the request's environment were out at one moment of the request's life. A replica is
  out from its fault until it is up again, and for `RETURN_SECONDS` after that. One replica alone explains nothing,
  whatever is wrong with it, since the other one can answer.
- The request's own gateway hung during its life, and the answer is a 504 that came no sooner than the deadline.

Every other failure is a violation.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from resilience.soak_schedule import HANG, KILL, REPLICAS, RESTART, Target

HOPS = ("transformer", "predictor")
DEADLINE_SECONDS = 10.0
"""DEADLINE_SECONDS of the gateways: the default."""
RETURN_SECONDS = {KILL: 2.0, RESTART: 7.0, HANG: 7.0}
"""Seconds after a fault's end until a replica must be used again, by kind.

They include the 2 s in which waiting mail is worked off, as after an overload. A killed replica keeps its address and
is tried with the next request. A restarted one has left the name server and is found when its name is resolved again,
every 5 s. One that hung gets one request at a time, at most 5 s apart, which finds out that it is back.
"""


@dataclass(frozen=True)
class Outage:
    """Outage of one process as it happened; times are on the clock `time.monotonic`.

    Args:
        target: The process.
        kind: Kind of its fault.
        start: Time of the fault.
        end: Time when it was up again.
    """

    target: Target
    kind: str
    start: float
    end: float

    @property
    def over(self) -> float:
        """Return the time from which requests must be answered as before."""
        return self.end + RETURN_SECONDS[self.kind]


@dataclass(frozen=True, slots=True)
class Failed:
    """Request that got no answer 200 although its client waited for one.

    Args:
        start: Time when it was sent, on the clock `time.monotonic`.
        end: Time when it failed.
        gateway: Number of the gateway that it was sent to.
        environment: Environment that should answer it.
        status: Status of the answer; 0 for none.
        detail: Text of the answer or of the connection's error.
    """

    start: float
    end: float
    gateway: int
    environment: str
    status: int
    detail: str

    def __str__(self) -> str:
        answer = f"{self.status or 'no answer'} after {self.end - self.start:.2f} s"
        return f"{answer} from gateway {self.gateway + 1}, {self.environment}: {self.detail}"


def explained(failed: Failed, outages: Iterable[Outage]) -> bool:
    """Return whether the faults make this failure unavoidable, by the module's rules."""
    met = [each for each in outages if each.start <= failed.end and failed.start <= each.over]
    own = [each for each in met if each.target.tier == "gateway" and each.target.replica == failed.gateway]
    if not failed.status:
        return any(each.kind == KILL and failed.start <= each.end for each in own)
    if failed.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return False
    hops = [each for each in met if each.target.environment == failed.environment]
    if any(_all_out([each for each in hops if each.target.tier == tier], failed) for tier in HOPS):
        return True
    is_late = failed.status == HTTPStatus.GATEWAY_TIMEOUT and failed.end - failed.start >= DEADLINE_SECONDS
    return is_late and any(each.kind == HANG for each in own)


def _all_out(outages: Sequence[Outage], failed: Failed) -> bool:
    """Return whether all replicas of a tier were out at one moment of the request's life.

    If they were out at any moment, they were so when the last of them went out, or when the request began.
    """
    moments = [failed.start, *(each.start for each in outages)]
    return any(
        len({each.target for each in outages if each.start <= moment <= each.over}) == REPLICAS
        for moment in moments
        if failed.start <= moment <= failed.end
    )


def met_fault(start: float, end: float, environment: str, gateway: int, outages: Iterable[Outage]) -> bool:
    """Return whether a request may have been sent twice: its environment or its gateway had a fault meanwhile."""
    return any(
        each.start <= end and start <= each.over
        for each in outages
        if each.target.environment == environment or each.target == Target("gateway", "", gateway)
    )
