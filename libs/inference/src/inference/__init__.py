"""Inference client: the Open Inference Protocol v2 over the replicas of a service, for gateway and transformer.

Kept-alive connections stay with the pod that they were opened to, so a Service with one virtual address sends all of a
client's batches to one or two replicas. A headless Service returns the addresses of all replicas. This package then
chooses for each request the one with the fewest of its own requests under way.

If a replica hangs or fails, another one is tried within the request's deadline. One request at a time probes whether it
has recovered, and its load then grows gradually. Retries are limited to a share of the requests. `inference.policy` has
these rules and their figures.
"""

from inference.answers import read_bounded
from inference.client import Call, InferenceClient, ReadyState, open_session
from inference.errors import BrokenAnswer, ConnectionFailed, ErrorAnswer, Unreachable, Unusable
from inference.kept import KeptResult
from inference.replica import Replica
from inference.replicas import Replicas

__all__ = [
    "BrokenAnswer",
    "Call",
    "ConnectionFailed",
    "ErrorAnswer",
    "InferenceClient",
    "KeptResult",
    "ReadyState",
    "Replica",
    "Replicas",
    "Unreachable",
    "Unusable",
    "open_session",
    "read_bounded",
]
