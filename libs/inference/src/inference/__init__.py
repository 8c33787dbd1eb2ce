"""Inference client: load balancing on the client's side, over the pods behind a name.

Kept-alive connections stay with the pod that they were opened to, so a Service with one virtual address sends all of a
client's batches to one or two replicas. A headless Service returns the addresses of all replicas. This package then
chooses for each request the one with the fewest of its own requests under way.

If a replica hangs or fails, another one is tried within the request's deadline. One request at a time probes whether it
has recovered, and its load then grows gradually. Retries are limited to a share of the requests.

The package needs only the standard library, so the gateway can use it without the KServe SDK.
"""

from inference.budget import RetryBudget
from inference.kept import Kept
from inference.reading import read_bounded
from inference.replica import Replica
from inference.replicas import Failures, Replicas, Unreachable

__all__ = ["Failures", "Kept", "Replica", "Replicas", "RetryBudget", "Unreachable", "read_bounded"]
