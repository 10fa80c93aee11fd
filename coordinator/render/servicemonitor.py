"""The ServiceMonitor, by which the Prometheus operator finds the metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordinator.render.labels import selector_labels
from coordinator.render.manifest import Manifest, metadata
from coordinator.render.names import METRICS_PORT, service_monitor_name

if TYPE_CHECKING:
    from coordinator.api.engine import Engine
    from coordinator.api.spec import EngineSpec
    from coordinator.render.facts import Facts


MONITOR_MISSING = (
    "spec.prometheus.serviceMonitor.enabled: the cluster has no ServiceMonitor CRD, so nothing"
    " tells Prometheus to scrape the metrics; install the Prometheus Operator, and the"
    " ServiceMonitor is made by itself."
)


def is_monitored(engine: Engine, facts: Facts) -> bool:
    """Tell whether there should be a ServiceMonitor: asked for, possible, and of any use."""
    prometheus = engine.spec.prometheus
    return (
        facts.service_monitor_supported
        and prometheus.enabled
        and prometheus.service_monitor.enabled
    )


def is_monitor_missing(spec: EngineSpec, facts: Facts) -> bool:
    """Tell whether a ServiceMonitor is asked for that the cluster cannot have."""
    prometheus = spec.prometheus
    return (
        prometheus.enabled
        and prometheus.service_monitor.enabled
        and not facts.service_monitor_supported
    )


def service_monitor(engine: Engine) -> Manifest:
    """Return the ServiceMonitor.

    Both Services carry the labels that it selects; only the metrics Service has the port.
    """
    wanted = engine.spec.prometheus.service_monitor
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": metadata(engine, service_monitor_name(engine.name), labels=wanted.labels),
        "spec": {
            "selector": {"matchLabels": selector_labels(engine)},
            "endpoints": [
                {
                    "port": METRICS_PORT,
                    "interval": wanted.interval,
                    # The Prometheus operator adds namespace, service and pod, but not the node, and
                    # an alert about a cache server is about a node.
                    "relabelings": [
                        {
                            "sourceLabels": ["__meta_kubernetes_pod_node_name"],
                            "targetLabel": "node",
                        }
                    ],
                }
            ],
        },
    }
