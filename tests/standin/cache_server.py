"""A stand-in for the HTTP side of `lmcache server`: the paths, answers and dangers of the real one.

In a test's own process: `with standing_in() as server`. As a process that can be stopped with
SIGSTOP, as a hung server is: `with running() as server`; it prints each request that it gets.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
SECRET = "hunter2-of-the-environment"
METRICS_TYPE = "text/plain; version=1.0.0; charset=utf-8"
METRICS = b"# TYPE lmcache_mp_l1_usage_ratio gauge\nlmcache_mp_l1_usage_ratio 0.25\n"


@dataclass
class Behaviour:
    """How the server answers; a test may change it at any time."""

    prefix: str = ""
    """"/api" for the paths of older releases."""
    health: tuple[int, dict[str, Any]] = (200, {"status": "healthy"})
    status: tuple[int, dict[str, Any]] = (200, {"is_healthy": True, "registered_gpu_ids": [0, 1]})
    metrics_status: int = 200
    metrics_lines: int = 1
    is_chunked: bool = False
    breaks_off: bool = False
    redirects_to: str = ""
    delay: threading.Event | None = None
    """Answers wait for it."""
    requests: list[str] = field(default_factory=list)


class CacheServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        super().__init__(address, _Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent about clients that leave early, as many a test's does."""

    @property
    def requests(self) -> list[str]:
        return list(self.behaviour.requests)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: CacheServer

    def do_GET(self) -> None:
        how = self.server.behaviour
        self._note()
        if how.delay is not None:
            how.delay.wait(30)
        if how.redirects_to:
            self.send_response(HTTPStatus.FOUND)
            self.send_header("Location", how.redirects_to)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path == f"{how.prefix}/healthcheck":
            self._json(*how.health)
        elif self.path == f"{how.prefix}/status":
            self._json(*how.status)
        elif self.path == "/metrics":
            self._metrics()
        elif self.path == "/env":
            self._json(200, {"LMCACHE_RESP_PASSWORD": SECRET})
        else:
            self._json(404, {"detail": "Not Found"})

    def do_DELETE(self) -> None:
        self._note()
        self._json(200, {"deleted": "everything"})

    def do_POST(self) -> None:
        self.do_DELETE()

    def do_PUT(self) -> None:
        self.do_DELETE()

    def _metrics(self) -> None:
        how = self.server.behaviour
        body = METRICS * how.metrics_lines
        self.send_response(how.metrics_status)
        self.send_header("Content-Type", METRICS_TYPE)
        if how.is_chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if how.breaks_off:
            self.wfile.write(b"5\r\nxxxxx\r\n" if how.is_chunked else body[:20])
            self.close_connection = True
            return
        if not how.is_chunked:
            self.wfile.write(body)
            return
        for start in range(0, len(body), 50_000):
            piece = body[start : start + 50_000]
            self.wfile.write(b"%x;extension\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _json(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _note(self) -> None:
        line = f"{self.command} {self.path}"
        self.server.behaviour.requests.append(line)
        print(line, flush=True)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


@contextlib.contextmanager
def standing_in(behaviour: Behaviour | None = None, *, port: int = 0) -> Iterator[CacheServer]:
    """Serve from a thread on loopback until the block ends."""
    with CacheServer(("127.0.0.1", port), behaviour or Behaviour()) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Running:
    """A stand-in as a process."""

    process: subprocess.Popen[str]
    port: int


@contextlib.contextmanager
def running() -> Iterator[Running]:
    """Run a stand-in as a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.standin.cache_server"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        try:
            yield Running(process, int(process.stdout.readline()))
        finally:
            # SIGKILL ends a stopped process too.
            process.kill()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    with CacheServer(("127.0.0.1", given.port), Behaviour()) as server:
        print(server.port, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
