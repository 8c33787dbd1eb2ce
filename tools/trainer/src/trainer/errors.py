"""Errors of the trainer."""


class TrainerError(Exception):
    """Error that stops a training; the message says what to do next."""
