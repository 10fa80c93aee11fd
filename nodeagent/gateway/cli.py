"""The command line of the gateway: two sockets, then serving until a signal comes."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from nodeagent.gateway.listener import Listener
from nodeagent.gateway.pages import Pages
from nodeagent.gateway.upstream import LOOPBACK, Upstream
from nodeagent.logs import set_up

logger = logging.getLogger(__name__)


class CannotStart(Exception):
    """The gateway cannot run; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Options:
    """Where the server is, and where the gateway listens. No metrics port: no metrics."""

    server_port: int
    address: str
    port: int
    metrics_address: str
    metrics_port: int


def parser() -> argparse.ArgumentParser:
    """Return the parser."""
    result = argparse.ArgumentParser(
        prog="lmcache-gateway",
        description="Shows health, status and metrics of the LMCache server in the same pod, and"
        " nothing else of its admin API.",
    )
    result.add_argument(
        "--server-port",
        metavar="PORT",
        type=_port,
        required=True,
        help=f"the server's --http-port on {LOOPBACK}",
    )
    result.add_argument(
        "--address",
        metavar="IP",
        required=True,
        help="the pod's IP, where /healthz and /status are served: one address, not all, so that"
        " the port may be the server's own",
    )
    result.add_argument(
        "--port",
        metavar="PORT",
        type=_port,
        required=True,
        help="port of /healthz and /status at that address",
    )
    result.add_argument(
        "--metrics-port",
        metavar="PORT",
        type=_port,
        default=0,
        help="port of /metrics (default: no metrics)",
    )
    result.add_argument(
        "--metrics-address",
        metavar="IP",
        default="",
        help="where /metrics is served (default: all addresses, so that port-forward works)",
    )
    return result


def parse(arguments: Sequence[str]) -> Options:
    """Return the options. Raises CannotStart; exits 2 for unknown options, as argparse does."""
    given = parser().parse_args(arguments)
    options = Options(**vars(given))
    try:
        address = ipaddress.ip_address(options.address)
    except ValueError as error:
        raise CannotStart(
            f"--address {options.address!r} is no IP address: give the pod's, from status.podIP."
        ) from error
    if options.port == options.server_port and (
        address.is_unspecified or str(address) in (LOOPBACK, f"::ffff:{LOOPBACK}")
    ):
        raise CannotStart(
            f"--address {address} with --port {options.port} would take the cache server's own"
            " port: give the pod's IP, or another port."
        )
    if options.metrics_port in (options.port, options.server_port):
        raise CannotStart(
            f"--metrics-port {options.metrics_port} is --port or --server-port too: give another."
        )
    return options


def main() -> int:
    """Run the gateway; returns the exit code."""
    set_up("info")
    try:
        asyncio.run(serve(parse(sys.argv[1:])))
    except CannotStart as error:
        sys.stderr.write(f"lmcache-gateway: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


async def serve(options: Options) -> None:
    """Serve until SIGTERM or SIGINT. Raises CannotStart."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    pages = Pages(Upstream(options.server_port), clock=time.monotonic)
    wanted = [(options.address, options.port, pages.health())]
    if options.metrics_port:
        wanted.append((options.metrics_address, options.metrics_port, pages.metrics()))
    listeners = []
    try:
        for address, port, served in wanted:
            bound = bind(address, port)
            listener = Listener(served)
            listeners.append(listener)
            await listener.start(bound)
            logger.info(
                "serving %s", ", ".join(served), extra={"address": address or "*", "port": port}
            )
        await stop.wait()
    finally:
        for listener in listeners:
            await listener.close()


def bind(address: str, port: int) -> socket.socket:
    """Return a listening socket; no address means all, of both families where there are two.

    Raises CannotStart.
    """
    is_version_6 = ":" in address or (not address and socket.has_dualstack_ipv6())
    try:
        return socket.create_server(
            (address, port),
            family=socket.AF_INET6 if is_version_6 else socket.AF_INET,
            dualstack_ipv6=is_version_6 and not address,
        )
    except OSError as error:
        raise CannotStart(
            f"port {port} at {address or 'all addresses'} cannot be opened:"
            f" {os.strerror(error.errno or 0)}. On the node's network every engine of a node needs"
            " ports of its own (spec.server.httpPort, spec.prometheus.port)."
        ) from error


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port")
    return int(text)
