"""Errors of the inference log, with messages for people."""


class LogError(Exception):
    """Error for a log, a store or a baseline that cannot be used; the message says which, and what to do."""


class StoreError(LogError):
    """Error for a store that does not answer, refuses, or has no such file."""


class WindowError(LogError):
    """Error for a window of the log that holds more rows than may be read."""


class BaselineError(LogError):
    """Error for a file that is not a baseline, or whose rows do not belong together."""


class EvaluationError(LogError):
    """Error for a file without scores of a corpus."""
