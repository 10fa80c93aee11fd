"""The agent's own pages: /metrics, /healthz and /readyz, and nothing else.

/healthz is about this process only. A driver that hangs is a finding, and restarting the agent
because of it would lose the finding and mend nothing.
"""

import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

_TEXT = "text/plain; charset=utf-8"
_REQUEST_SECONDS = 5

Page = Callable[[], tuple[HTTPStatus, str, bytes]]


def metrics_page(registry: CollectorRegistry) -> Page:
    """Return the page with all metrics."""
    return lambda: (HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(registry))


def verdict_page(trouble: Callable[[], str]) -> Page:
    """Return a page that is `ok`, or 503 with the trouble in a sentence."""

    def page() -> tuple[HTTPStatus, str, bytes]:
        sentence = trouble()
        status = HTTPStatus.SERVICE_UNAVAILABLE if sentence else HTTPStatus.OK
        return status, _TEXT, f"{sentence or 'ok'}\n".encode()

    return page


class _Handler(BaseHTTPRequestHandler):
    timeout = _REQUEST_SECONDS
    server_version = "lmcache-node-agent"
    sys_version = ""
    pages: dict[str, Page]

    def do_GET(self) -> None:
        """Answer one request."""
        page = self.pages.get(self.path.partition("?")[0])
        if page is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        status, content_type, body = page()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: a line per scrape and probe says nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 16

    def server_bind(self) -> None:
        """Bind to both families where the address is open to both."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


class _DualStackServer(_Server):
    address_family = socket.AF_INET6


class HttpServer:
    """Serves the pages from a thread of its own."""

    def __init__(self, listen: tuple[str, int], *, pages: dict[str, Page]) -> None:
        handler = type("Handler", (_Handler,), {"pages": pages})
        is_version_6 = ":" in listen[0] or (not listen[0] and socket.has_dualstack_ipv6())
        self._server = (_DualStackServer if is_version_6 else _Server)(listen, handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Start serving."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
