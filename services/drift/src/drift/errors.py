"""Errors of the drift detector."""


class DriftError(Exception):
    """Error that prevents a comparison; the message says what to do next."""
