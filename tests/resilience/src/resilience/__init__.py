"""Resilience suite: overload, faults and bad input against the real processes, as checks with a target each."""
