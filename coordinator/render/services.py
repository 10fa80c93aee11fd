"""The Services of an engine: one for vLLM, one for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coordinator.render.labels import selector_labels
from coordinator.render.manifest import Manifest, metadata
from coordinator.render.names import (
    METRICS_PORT,
    SERVER_PORT,
    lookup_service_name,
    metrics_service_name,
)

if TYPE_CHECKING:
    from coordinator.api.engine import Engine


def lookup_service(engine: Engine) -> Manifest:
    """Return the Service by which vLLM reaches the cache server of its own node, and no other.

    It has no port for the admin API: that has no authentication and stays on the pod's loopback.
    """
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(engine, lookup_service_name(engine.name)),
        "spec": {
            "type": "ClusterIP",
            # GPU memory is shared within a node: the server of another node is of no use.
            "internalTrafficPolicy": "Local",
            "selector": selector_labels(engine),
            "ports": [_port(SERVER_PORT, engine.spec.server.port)],
        },
    }


def metrics_service(engine: Engine) -> Manifest:
    """Return the headless Service that lists the metrics ports of all pods.

    It is there without metrics too, as in upstream's operator; it then has no endpoints.
    """
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(engine, metrics_service_name(engine.name)),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "selector": selector_labels(engine),
            "ports": [_port(METRICS_PORT, engine.spec.prometheus.port)],
        },
    }


def _port(name: str, port: int) -> dict[str, Any]:
    return {"name": name, "port": port, "targetPort": name, "protocol": "TCP"}
