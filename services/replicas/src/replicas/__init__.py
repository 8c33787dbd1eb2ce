"""Spreads requests over the replicas behind a name.

Kept-alive connections stay with the pod that they were opened to, so a Service with one virtual address
sends all batches of a client to one or two replicas. A headless Service gives the addresses of all; whom to
ask is then decided here, for each request: whoever has the fewest of ours under way.

Pure standard library, so that the gateway can hold it without the KServe SDK.
"""

from replicas.replicas import Replica, Replicas, Unreachable

__all__ = ["Replica", "Replicas", "Unreachable"]
