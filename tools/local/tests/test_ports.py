"""Tests of ports: they are checked before anything starts, and the message says what to do."""

import os
import socket
from pathlib import Path

import pytest

from local.ports import PortError, check_free, ports


def test_a_busy_port_is_named_with_its_process_and_variable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        wanted = ports({"PREDICTOR_STAGING_PORT": str(number)})
        with pytest.raises(PortError, match=rf"port {number} of predictor-staging .* PREDICTOR_STAGING_PORT="):
            check_free([port for port in wanted if port.number == number])
    check_free([port for port in wanted if port.number == number])


def test_two_processes_cannot_share_a_port() -> None:
    with pytest.raises(PortError, match="PORT and TRANSFORMER_STAGING_PORT are both 8083"):
        ports({"PORT": "8083"})


@pytest.mark.parametrize("text", ["0", "65536", "http"])
def test_a_port_is_a_number(text: str) -> None:
    with pytest.raises(PortError, match=f"PORT={text} is no port"):
        ports({"PORT": text})


def unprivileged() -> int:
    """Return the first port that needs no privilege."""
    return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())


@pytest.mark.skipif(unprivileged() <= 80, reason="anybody may listen on port 80 here")
def test_a_port_that_needs_a_privilege_says_so() -> None:
    wanted = [port for port in ports({"PORT": "80"}) if port.variable == "PORT"]
    own = os.geteuid()
    if own == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(
            PortError, match=r"port 80 of gateway needs root or CAP_NET_BIND_SERVICE; .* PORT=… of 1024"
        ):
            check_free(wanted)
    finally:
        os.seteuid(own)


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_a_host_that_is_not_here_says_so(host: str) -> None:
    wanted = [port for port in ports({"PORT": "38471"}) if port.variable == "PORT"]
    with pytest.raises(PortError, match="HOST is no address of this machine"):
        check_free(wanted, host)


@pytest.mark.parametrize("text", ["-1", "8080.0", "1e3", " ", "70000", "\u00b2"])
def test_other_things_are_no_port(text: str) -> None:
    with pytest.raises(PortError, match="is no port; expected 1 to 65535"):
        ports({"PORT": text})


def test_an_empty_port_is_the_default() -> None:
    assert ports({"PORT": ""})[0].number == 8080
