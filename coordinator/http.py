"""The coordinator's HTTP endpoints: /metrics, /healthz, /readyz."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from coordinator.errors import StartupError
from coordinator.metrics import Metrics
from coordinator.settings import Address

# Returns what is wrong, in words; empty when nothing is.
Check = Callable[[], list[str]]


async def serve(
    address: Address, metrics: Metrics, *, alive: Check, ready: Check
) -> tuple[web.AppRunner, Address]:
    """Start serving; returns the runner, to be cleaned up, and the real address.

    Raises StartupError when the address cannot be used.
    """

    async def show_metrics(_request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    app = web.Application()
    app.router.add_get("/metrics", show_metrics)
    app.router.add_get("/healthz", _answer(alive))
    app.router.add_get("/readyz", _answer(ready))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, address.host, address.port)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise StartupError(
            f"Cannot listen on {address} for metrics and health"
            f" ({os.strerror(error.errno or 0).lower()}): choose another address with"
            " --http-address."
        ) from error
    port: int = runner.addresses[0][1]
    return runner, Address(address.host, port)


def _answer(check: Check) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(_request: web.Request) -> web.Response:
        wrong = check()
        if wrong:
            return web.Response(status=503, text="\n".join(wrong) + "\n")
        return web.Response(text="ok\n")

    return handler
