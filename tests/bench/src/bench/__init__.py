"""Benchmark of the serving path on real mail, beside other ways to serve the same model."""
