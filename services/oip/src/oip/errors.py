"""Errors that a model answers with."""

from http import HTTPStatus


class InvalidInput(ValueError):
    """The request is wrong (400); the message names the input and what is expected."""


class Unavailable(Exception):
    """The model cannot answer now, through no fault of the request.

    Args:
        reason: Which hop failed, how, and what to look at.
        status: 503 when it is down, 504 when it is too slow, 502 when its answer makes no sense.
    """

    def __init__(self, reason: str, status: HTTPStatus = HTTPStatus.SERVICE_UNAVAILABLE) -> None:
        super().__init__(reason)
        self.status = status
