"""Errors of model bundles."""


class BundleError(Exception):
    """Error for a bundle that must not be used; the message says what to do next."""
