"""TCP ports of the processes, checked before anything starts."""

import errno
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
"""Process and default port by variable."""


class PortError(Exception):
    """Error for a port that cannot be used; the message names it, its process and the variable that changes it."""


@dataclass(frozen=True, slots=True)
class Port:
    """Port on which one process listens."""

    variable: str
    process: str
    number: int


def ports(environ: Mapping[str, str]) -> list[Port]:
    """Return the ports that the environment sets, or the defaults.

    Raises:
        PortError: If a value is not a port, or if two processes have the same port.
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


def check_free(wanted: list[Port], host: str = "127.0.0.1") -> None:
    """Check that every process may listen on its port, and that nothing does yet.

    Args:
        host: Address that the gateway listens on; the others listen on 127.0.0.1.

    Raises:
        PortError: If any port cannot be used; the message names all of them.
    """
    reasons = [
        (port, reason)
        for port in wanted
        if (reason := _reason(host if port.variable == "PORT" else "127.0.0.1", port.number))
    ]
    if reasons:
        raise PortError(
            "\n".join(f"port {port.number} of {port.process} {_advice(port, why)}" for port, why in reasons)
        )


def _number(variable: str, text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise PortError(f"{variable}={text} is no port; expected 1 to 65535")
    return int(text)


def _advice(port: Port, error: OSError) -> str:
    another = f"choose another: make run {port.variable}=…"
    if error.errno == errno.EADDRINUSE:
        return f"is busy; {another}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"needs root or CAP_NET_BIND_SERVICE; {another} of 1024 or more"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"cannot be had: HOST is no address of this machine ({error.strerror}); leave HOST out, or set 0.0.0.0"
    return f"cannot be had ({error.strerror}); {another}"


def _reason(host: str, number: int) -> OSError | None:
    """Return the error that prevents a server from listening there, if any."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # Servers set this too: a port in TIME_WAIT after a restart counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None
