"""Errors of the baseline generator."""


class GeneratorError(Exception):
    """Error that prevents a baseline; the message says what to do next."""
