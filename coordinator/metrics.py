"""The coordinator's own metrics: one explicit registry, no label without a bound."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from coordinator.kube.resources import ObjectKey

_STATUS = {"True": 1.0, "False": 0.0}


class Metrics:
    """Everything that the coordinator counts, with prefix `lmcache_operator_`."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._reconciles = Counter(
            "lmcache_operator_reconcile",
            "Passes over an engine, by result.",
            ["result"],
            registry=self.registry,
        )
        self._duration = Histogram(
            "lmcache_operator_reconcile_duration_seconds",
            "Duration of one pass over an engine.",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
            registry=self.registry,
        )
        self._requests = Counter(
            "lmcache_operator_api_requests",
            "Requests to the API server; code 0 means that no answer came.",
            ["verb", "resource", "code"],
            registry=self.registry,
        )
        self.status_writes = Counter(
            "lmcache_operator_status_writes",
            "Writes to the status of engines.",
            registry=self.registry,
        )
        self.reports = Counter(
            "lmcache_operator_agent_reports",
            "Reports of node agents, by result.",
            ["result"],
            registry=self.registry,
        )
        self._statuses: dict[ObjectKey, Mapping[str, Any]] = {}
        self.registry.register(_Engines(self._statuses))
        for result in ("ok", "error", "namespace_terminating"):
            self._reconciles.labels(result)

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a gauge that is read when it is scraped."""
        Gauge(f"lmcache_operator_{name}", text, registry=self.registry).set_function(value)

    def counter(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a counter that is kept elsewhere and read when it is scraped."""
        self.registry.register(_Reader(f"lmcache_operator_{name}", text, value))

    def reconciled(self, result: str, seconds: float) -> None:
        """Count one pass over an engine."""
        self._reconciles.labels(result).inc()
        self._duration.observe(seconds)

    def requested(self, verb: str, resource: str, code: int) -> None:
        """Count one request to the API server."""
        self._requests.labels(verb, resource, str(code)).inc()

    def show(self, key: ObjectKey, status: Mapping[str, Any]) -> None:
        """Export an engine's status."""
        self._statuses[key] = status

    def hide(self, key: ObjectKey) -> None:
        """Stop exporting an engine that is gone."""
        self._statuses.pop(key, None)


class _Reader(Collector):
    """One counter that somebody else keeps."""

    def __init__(self, name: str, text: str, value: Callable[[], float]) -> None:
        self._name = name
        self._text = text
        self._value = value

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield the family."""
        yield CounterMetricFamily(self._name, self._text, value=self._value())


class _Engines(Collector):
    """Gauges per engine, made when scraped, so that an engine that is gone leaves no series."""

    def __init__(self, statuses: Mapping[ObjectKey, Mapping[str, Any]]) -> None:
        self._statuses = statuses

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the families."""
        labels = ["namespace", "name"]
        condition = GaugeMetricFamily(
            "lmcache_operator_engine_condition",
            "Condition of an engine: 1 True, 0 False, -1 Unknown.",
            labels=[*labels, "type"],
        )
        instances = GaugeMetricFamily(
            "lmcache_operator_engine_instances",
            "Cache servers of an engine, desired and ready.",
            labels=[*labels, "state"],
        )
        nodes = GaugeMetricFamily(
            "lmcache_operator_engine_nodes",
            "Nodes of an engine by what their agents found.",
            labels=[*labels, "state"],
        )
        for key, status in list(self._statuses.items()):
            identity = [key.namespace, key.name]
            for entry in status.get("conditions") or ():
                condition.add_metric([*identity, entry["type"]], _STATUS.get(entry["status"], -1.0))
            instances.add_metric([*identity, "desired"], status.get("desiredInstances", 0))
            instances.add_metric([*identity, "ready"], status.get("readyInstances", 0))
            for state, count in (status.get("nodeSummary") or {}).items():
                nodes.add_metric([*identity, state], count)
        yield from (condition, instances, nodes)
