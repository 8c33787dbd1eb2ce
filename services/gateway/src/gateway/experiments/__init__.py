"""Shadow and canary of a candidate on production's mail, and the comparison of both models."""
