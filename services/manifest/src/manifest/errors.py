"""What is wrong with a bundle, and what to do about it."""


class BundleError(Exception):
    """A bundle that must not be used; the message says what to do next."""
