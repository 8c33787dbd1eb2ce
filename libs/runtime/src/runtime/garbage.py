"""Garbage collection of a server, set up so that it does not stop requests."""

import gc

THRESHOLDS = (50_000, 20, 100)
"""Allocations before a collection of the youngest objects, and collections of one age before one of the next."""


def spare_loaded_objects() -> None:
    """Exclude all objects loaded so far from garbage collection, and collect less often.

    The libraries hold some hundred thousand objects. A full collection through them stops the process for longer than a
    batch takes. The CPU it costs is negligible, but the tail latency is not.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
