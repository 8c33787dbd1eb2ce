"""Shares of requests: which of them an experiment takes, by a name of each."""

from hashlib import blake2s


def in_share(name: str, share: float, purpose: bytes) -> bool:
    """Return whether a name is within a share of all names. For one purpose, every process gives the same answer.

    Args:
        name: Text in ASCII.
        share: Share of all names, 0 to 1.
        purpose: Up to 8 bytes; each purpose selects other names.
    """
    digest = blake2s(name.encode(), digest_size=8, person=purpose).digest()
    return int.from_bytes(digest, "big") < share * 2**64
