"""What stops a baseline, and what to do about it."""


class GeneratorError(Exception):
    """No baseline can be made; the message says what to do next."""
