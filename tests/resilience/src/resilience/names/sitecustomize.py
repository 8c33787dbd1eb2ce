"""Name server of a service on whose PYTHONPATH it is: names that end in `.test` are looked up in the file HOLD_NAMES.

The file holds JSON: a list of addresses by name, or "fail" or "hang". The rest of the process is unchanged.
"""

import asyncio
import contextlib
import json
import os
import socket
from pathlib import Path
from typing import Any

FILE = Path(os.environ["HOLD_NAMES"])
REFRESH_SECONDS = 5.0


async def addresses(host: str) -> list[str]:
    """Return the addresses of a name."""
    found = json.loads(FILE.read_text())[host]
    if found == "hang":
        await asyncio.sleep(3600)
    if not isinstance(found, list):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    return [str(address) for address in found]


def replace() -> None:
    """Replace the resolver of requests and that of the SDK's readiness check."""
    # The predictor sends no requests and has no `inference`.
    with contextlib.suppress(ImportError):
        from inference import Replicas

        Replicas.__init__.__defaults__ = (addresses, REFRESH_SECONDS)
    try:
        from anyio._core import _sockets
    except ImportError:
        return
    own: Any = _sockets.getaddrinfo

    async def getaddrinfo(host: str, *args: Any, **kwargs: Any) -> Any:
        named = str(host).endswith(".test")
        return await own((await addresses(host))[0] if named else host, *args, **kwargs)

    _sockets.getaddrinfo = getaddrinfo  # type: ignore[assignment]


replace()
