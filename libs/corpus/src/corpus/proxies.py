"""Reverse proxies for tests: nginx and haproxy, configured as an ingress usually is and started by the caller."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NGINX = """
daemon off;
worker_processes 1;
{user}
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 0;
  # As ingress-nginx has it, with connections to the server that are kept and shared by all clients.
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  upstream gateway {{ server {server}; keepalive 16; }}
  server {{
    listen {listen};
    server_name _;
    location / {{
      proxy_pass http://gateway;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_next_upstream off;
    }}
  }}
}}
"""
HAPROXY = """
global
  maxconn 1000
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend clients
  bind {listen}
  default_backend gateway
backend gateway
  server one {server}
"""
START_SECONDS = 30


def installed() -> list[str]:
    """Return the names of the proxies that are installed on this machine."""
    return [name for name in ("nginx", "haproxy") if _command(name)]


@contextmanager
def proxy(name: str, server: str, folder: Path) -> Iterator[str]:
    """Run a proxy while the context is open.

    Args:
        name: "nginx" or "haproxy".
        server: Host and port of the server behind it.
        folder: Folder for its settings and logs.

    Yields:
        Host and port of the proxy.
    """
    command = _command(name)
    if command is None:
        raise RuntimeError(f"{name} is not installed; install it by: sudo apt-get install {name}")
    folder.mkdir(parents=True, exist_ok=True)
    listen = f"127.0.0.1:{_free_port()}"
    settings = folder / f"{name}.conf"
    user = "user root;" if os.getuid() == 0 else ""
    text = NGINX if name == "nginx" else HAPROXY
    settings.write_text(text.format(folder=folder, user=user, server=server, listen=listen))
    options = ["-p", str(folder), "-e", str(folder / "nginx-error.log"), "-c"] if name == "nginx" else ["-db", "-f"]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([command, *options, str(settings)], stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait(process, listen, folder / f"{name}.log")
        yield listen
    finally:
        process.terminate()
        process.wait()


def _command(name: str) -> str | None:
    # Debian installs both in folders that only root's PATH names.
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], listen: str, log: Path) -> None:
    host, port = listen.split(":")
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"the proxy did not start: {log.read_text()[-2000:]}")
