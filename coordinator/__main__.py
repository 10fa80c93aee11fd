"""Entry point of `lmcache-coordinator`. Heavy imports wait until the options are known good."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from coordinator.cli import complain, parse
from coordinator.errors import StartupError
from coordinator.settings import Settings


def main() -> int:
    """Run the coordinator; returns the exit code."""
    try:
        settings = parse(sys.argv[1:], os.environ)
        return asyncio.run(_run(settings))
    except StartupError as error:
        complain(str(error))
        return 1
    except KeyboardInterrupt:
        return 130


async def _run(settings: Settings) -> int:
    # gRPC writes a line of its own for each failed handshake, which any stranger can cause.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from coordinator import app, logs

    logs.configure(log_format=settings.log_format, level=settings.log_level)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await app.run(settings, stop=stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
