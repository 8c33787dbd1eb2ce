"""Errors of releases."""


class ReleaseError(Exception):
    """Error for a pin, a promotion or a rendering that is refused; the message says what to do next."""
