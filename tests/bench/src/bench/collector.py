"""Trace collector that answers 200 and keeps nothing: `python -m bench.collector`, on port PORT."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Handler that accepts whatever is posted."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Read the spans and discard them."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer()

    def do_GET(self) -> None:
        """Answer that the collector is ready."""
        self._answer()

    def log_message(self, *_: object) -> None:
        """Log nothing for requests."""

    def _answer(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
