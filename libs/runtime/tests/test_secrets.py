"""Masking of API keys in logs."""

import os

import pytest

from runtime import Lines, masked, masked_text

KEY = "msk_q3Zc0-x_9kT1vJ5b7n2m4l6k8j0h1g3f5d7s9a2p4o6"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (KEY, "msk_***"),
        (f"GET /{KEY}/x?a={KEY}&b=1", "GET /msk_***/x?a=msk_***&b=1"),
        (f'{{"key": "{KEY}"}}', '{"key": "msk_***"}'),
        ("of msk_ and 256 bits", "of msk_ and 256 bits"),
        ("caf\u00e9 \udcff", "caf\u00e9 \udcff"),
        (f"\udcff{KEY}", "\udcffmsk_***"),
    ],
)
def test_keys_are_masked_and_nothing_else(text: str, shown: str) -> None:
    assert masked_text(text) == shown
    assert masked(text.encode(errors="surrogatepass")).decode(errors="surrogatepass") == shown


def test_no_line_has_a_key() -> None:
    read, write = os.pipe()
    lines = Lines(write, lambda dropped: b"")
    lines.add(f"a library says {KEY}".encode())
    assert lines.flush(10)
    assert os.read(read, 1000) == b"a library says msk_***\n"
    os.close(read)
    os.close(write)
