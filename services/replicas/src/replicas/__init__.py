"""Spreads requests over the replicas behind a name.

Kept-alive connections stay with the pod that they were opened to, so a Service with one virtual address
sends all batches of a client to one or two replicas. A headless Service gives the addresses of all; whom to
ask is then decided here, for each request: whoever has the fewest of ours under way.

One that hangs or fails is left for another within the request's deadline, found out about by one request at a
time, and taken back by and by; retries are a share of the requests.

Pure standard library, so that the gateway can hold it without the KServe SDK.
"""

from replicas.budget import RetryBudget
from replicas.kept import Kept
from replicas.reading import read_bounded
from replicas.replicas import Failures, Replica, Replicas, Unreachable

__all__ = ["Failures", "Kept", "Replica", "Replicas", "RetryBudget", "Unreachable", "read_bounded"]
