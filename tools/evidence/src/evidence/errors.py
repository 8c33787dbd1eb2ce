"""Errors that prevent evidence."""


class EvidenceError(Exception):
    """Error for settings or inputs that allow no evidence; the message says what to do next."""
