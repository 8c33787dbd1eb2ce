"""What stops a release, and what to do about it."""


class ReleaseError(Exception):
    """A pin, a promotion or a rendering that must not be; the message says what to do next."""
