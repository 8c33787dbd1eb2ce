"""What can go wrong, said for people."""


class LogError(Exception):
    """The log, its store or a baseline cannot be used; the message says which, and what to do."""


class StoreError(LogError):
    """The store does not answer, refuses, or has no such file."""


class WindowError(LogError):
    """A window of the log holds more rows than may be read."""


class BaselineError(LogError):
    """A file is no baseline, or one of rows that do not belong together."""


class EvaluationError(LogError):
    """A file holds no scores of a corpus."""
