"""Errors that a model may raise."""

from http import HTTPStatus


class InvalidInput(ValueError):
    """The request is invalid (400); the message names the input and what is expected."""


class Unavailable(Exception):
    """The model cannot answer now, for reasons beyond the request.

    Args:
        reason: Which hop failed, how, and what to check.
        status: 503 if the hop is down, 504 if it is too slow, 502 if its answer makes no sense.
    """

    def __init__(self, reason: str, status: HTTPStatus = HTTPStatus.SERVICE_UNAVAILABLE) -> None:
        super().__init__(reason)
        self.status = status
