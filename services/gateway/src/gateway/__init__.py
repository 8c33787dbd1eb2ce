"""API gateway of the spam detector: routes by environment, coalesces, protects."""
