"""Makes the baseline that the drift detector compares with."""
