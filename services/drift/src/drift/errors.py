"""What stops a comparison, and what to do about it."""


class DriftError(Exception):
    """A comparison that cannot be made; the message says what to do next."""
