"""What stops a training, and what to do about it."""


class TrainerError(Exception):
    """A training that cannot go on; the message says what to do next."""
