"""API keys in text that is about to be logged or answered."""

import re

PREFIX = "msk_"
"""How each API key of the gateway begins."""

_PREFIX = PREFIX.encode()
_KEY = re.compile(rb"msk_[A-Za-z0-9_%.~-]+")
_MASK = b"msk_***"


def masked(data: bytes) -> bytes:
    """Return bytes in which each API key is replaced by a mask."""
    return _KEY.sub(_MASK, data) if _PREFIX in data else data


def masked_text(text: str) -> str:
    """Return a text in which each API key is replaced by a mask."""
    return (
        _KEY.sub(_MASK, text.encode(errors="surrogatepass")).decode(errors="surrogatepass") if PREFIX in text else text
    )
