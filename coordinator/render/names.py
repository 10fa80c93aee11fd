"""The names of an engine's children, and of what ties them together."""

from __future__ import annotations

# Names of ports: a Service and the probes find the container's port by its name, so that pods of
# the old and of the new port are both reached while a change of the port rolls out.
SERVER_PORT = "server"
METRICS_PORT = "metrics"
ADMIN_PORT = "http"
GATEWAY_PORT = "gateway"

CONTAINER = "lmcache"
GATEWAY_CONTAINER = "gateway"


def daemon_set_name(engine: str) -> str:
    """Return the name of the DaemonSet of the cache servers."""
    return engine


def lookup_service_name(engine: str) -> str:
    """Return the name of the node-local Service that vLLM connects to."""
    return engine


def metrics_service_name(engine: str) -> str:
    """Return the name of the headless Service that Prometheus scrapes by."""
    return f"{engine}-metrics"


def connection_name(engine: str) -> str:
    """Return the name of the ConfigMap that vLLM pods mount."""
    return f"{engine}-connection"


def service_monitor_name(engine: str) -> str:
    """Return the name of the ServiceMonitor."""
    return engine


def credential_name(engine: str) -> str:
    """Return the name of the managed copy of the Redis credential."""
    return f"{engine}-resp-auth"
