"""Generator of the baseline that the drift detector compares new mail with."""
