"""The TCP ports of the processes, checked before anything starts."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass

PORTS = {
    "PORT": ("gateway", 8080),
    "PREDICTOR_STAGING_PORT": ("predictor-staging", 8081),
    "PREDICTOR_PRODUCTION_PORT": ("predictor-production", 8082),
    "TRANSFORMER_STAGING_PORT": ("transformer-staging", 8083),
    "TRANSFORMER_PRODUCTION_PORT": ("transformer-production", 8084),
}
"""Variable -> process that listens there, default."""


class PortError(Exception):
    """A port cannot be had; the message names it, its process and the variable that changes it."""


@dataclass(frozen=True, slots=True)
class Port:
    """Where one process listens."""

    variable: str
    process: str
    number: int


def ports(environ: Mapping[str, str]) -> list[Port]:
    """The ports that the environment sets, or the defaults.

    Raises:
        PortError: A value is no port, or two processes have the same.
    """
    found = [
        Port(variable, process, _number(variable, environ.get(variable) or str(default)))
        for variable, (process, default) in PORTS.items()
    ]
    taken: dict[int, Port] = {}
    for port in found:
        if (other := taken.setdefault(port.number, port)) is not port:
            both = f"{other.variable} and {port.variable}"
            raise PortError(f"{both} are both {port.number}; give one of them another port")
    return found


def check_free(wanted: list[Port]) -> None:
    """See that nothing listens there yet.

    Raises:
        PortError: Something does; all such ports are named.
    """
    busy = [port for port in wanted if not _is_free(port.number)]
    if busy:
        lines = [f"port {p.number} of {p.process} is busy; choose another: make run {p.variable}=…" for p in busy]
        raise PortError("\n".join(lines))


def _number(variable: str, text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise PortError(f"{variable}={text} is no port; expected 1 to 65535")
    return int(text)


def _is_free(number: int) -> bool:
    with socket.socket() as probe:
        # As the servers themselves do: a port in TIME_WAIT after a restart is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", number))
        except OSError:
            return False
    return True
