"""What stops evidence from being made, and what to do about it."""


class EvidenceError(Exception):
    """Settings or inputs of which no evidence can be made; the message says what to do next."""
