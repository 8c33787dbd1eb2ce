"""Drift detector: compares mail and scores of a period of the inference log with a baseline."""
