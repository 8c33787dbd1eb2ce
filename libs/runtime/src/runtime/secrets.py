"""Masking of API keys in text that is about to be logged or answered."""

import re

PREFIX = "msk_"
"""Prefix of each API key of the gateway."""

_PREFIX = PREFIX.encode()
_KEY = re.compile(rb"msk_[A-Za-z0-9_%.~-]+")
_MASK = b"msk_***"


def masked(data: bytes) -> bytes:
    """Return bytes with each API key replaced by a mask."""
    return _KEY.sub(_MASK, data) if _PREFIX in data else data


def masked_text(text: str) -> str:
    """Return text with each API key replaced by a mask."""
    return (
        _KEY.sub(_MASK, text.encode(errors="surrogatepass")).decode(errors="surrogatepass") if PREFIX in text else text
    )
