"""Whether mail and scores of a stretch of the inference log differ from a baseline."""
