"""The probes of the cache server's container.

There is no liveness probe: a restart empties L1 and detaches every vLLM of the node. A server that
hangs turns unready and is named, with what to do about it, and a person decides.
"""

from __future__ import annotations

from typing import Any

from coordinator.render.names import SERVER_PORT

_PERIOD_SECONDS = 5
_LEAST_FAILURES = 30
# Pinning host memory: a second for each GiB, from upstream's issue #4576.
_SECONDS_PER_GIB = 1


def startup_probe(size_gb: float) -> dict[str, Any]:
    """Return the probe that waits for the socket: 150 s, and longer where L1 is large."""
    failures = max(_LEAST_FAILURES, int(size_gb * _SECONDS_PER_GIB / _PERIOD_SECONDS))
    return {
        "tcpSocket": {"port": SERVER_PORT},
        "initialDelaySeconds": 5,
        "periodSeconds": _PERIOD_SECONDS,
        "failureThreshold": failures,
    }


def readiness_probe() -> dict[str, Any]:
    """Return the probe that lets the Services route to the pod."""
    return {
        "tcpSocket": {"port": SERVER_PORT},
        "periodSeconds": _PERIOD_SECONDS,
        "failureThreshold": 3,
    }
