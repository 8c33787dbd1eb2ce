"""Bounded reading of answers."""

from collections.abc import AsyncIterable


async def read_bounded(chunks: AsyncIterable[bytes], limit: int) -> bytes:
    """Return all bytes of an answer.

    Raises:
        ValueError: The answer exceeds `limit`; at most one chunk beyond it is read.
    """
    read: list[bytes] = []
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise ValueError(f"it is longer than {limit:,} bytes")
        read.append(chunk)
    return read[0] if len(read) == 1 else b"".join(read)
