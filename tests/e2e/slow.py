"""Slow clients of the gateway: connections that send a byte now and then, for as long as they may.

Half of them never finish their head (slowloris), half never finish a body that they have announced. The script runs in
a pod inside the cluster, on the standard library alone. Standard output is one JSON line when all are connected, and
one at the end. The latter counts the connections that the server has ended, by the first line of its answer.
"""

import argparse
import asyncio
import contextlib
import json
import time
from collections import Counter

HEAD = "POST /api/v1/predict HTTP/1.1\r\nHost: gateway\r\nX-Environment: production\r\n"
BODY = HEAD + "Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n" + '{"email_content": "'


async def trickle(options: argparse.Namespace, start: str, connected: asyncio.Semaphore, ended: Counter[str]) -> None:
    """Hold one connection until the server ends it or the time is over."""
    end = time.monotonic() + options.seconds
    try:
        reader, writer = await asyncio.open_connection(options.host, options.port)
        connected.release()
    except OSError as error:
        connected.release()
        ended[type(error).__name__] += 1
        return
    answer = asyncio.ensure_future(reader.read(200))
    piece = start
    with contextlib.suppress(OSError):
        while time.monotonic() < end and not answer.done():
            writer.write(piece.encode())
            await writer.drain()
            piece = "a" if start is BODY else "X-A: b\r\n"
            await asyncio.wait({answer}, timeout=options.pause)
    ended[await said(answer)] += 1
    writer.close()


async def said(answer: asyncio.Future[bytes]) -> str:
    """Return the first line of an answer, or what happened if there is none."""
    if not answer.done():
        answer.cancel()
        return "still open"
    try:
        return (await answer).decode(errors="replace").split("\r\n")[0] or "closed"
    except OSError as error:
        return type(error).__name__


async def main() -> None:
    """Hold the connections of the command line."""
    options = parser().parse_args()
    connected, ended = asyncio.Semaphore(0), Counter[str]()
    starts = [BODY if number % 2 else HEAD for number in range(options.connections)]
    clients = [asyncio.create_task(trickle(options, start, connected, ended)) for start in starts]
    for _ in clients:
        await connected.acquire()
    print(json.dumps({"connected": len(clients)}), flush=True)
    await asyncio.gather(*clients)
    print(json.dumps(ended), flush=True)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = argparse.ArgumentParser(description="Slow clients of the gateway.")
    found.add_argument("--host", required=True)
    found.add_argument("--port", type=int, default=8080)
    found.add_argument("--connections", type=int, required=True)
    found.add_argument("--pause", type=float, default=1, help="seconds between two bytes (%(default)s)")
    found.add_argument("--seconds", type=float, required=True)
    return found


if __name__ == "__main__":
    asyncio.run(main())
