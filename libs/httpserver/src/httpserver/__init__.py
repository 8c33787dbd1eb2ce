"""HTTP connections with limits, for uvicorn: framing, slow clients, paced refusals, draining."""

from httpserver.connection import Connections
from httpserver.exchange import EXTENSION, Exchange
from httpserver.heads import Head, HeadLimits, RequestRefused, repeated
from httpserver.limits import ConnectionLimits, raise_file_limit
from httpserver.refusals import REASONS, Hooks, RefusalAnswer
from httpserver.server import Server

__all__ = [
    "EXTENSION",
    "REASONS",
    "ConnectionLimits",
    "Connections",
    "Exchange",
    "Head",
    "HeadLimits",
    "Hooks",
    "RefusalAnswer",
    "RequestRefused",
    "Server",
    "raise_file_limit",
    "repeated",
]
