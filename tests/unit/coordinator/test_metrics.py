"""The coordinator's metrics: what is gone leaves no series."""

from typing import Any

import pytest

from coordinator.kube.resources import ObjectKey
from coordinator.metrics import Metrics

KEY = ObjectKey("ns", "a")
STATUS = {
    "conditions": [
        {"type": "Ready", "status": "True"},
        {"type": "NodesHealthy", "status": "Unknown"},
        {"type": "Available", "status": "False"},
    ],
    "desiredInstances": 3,
    "readyInstances": 2,
    "nodeSummary": {"healthy": 2, "failing": 1},
}


@pytest.fixture
def metrics():
    return Metrics()


def series(metrics, name) -> Any:
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == f"lmcache_operator_{name}"
    }


def value(metrics, name, /, **labels) -> Any:
    return series(metrics, name).get(tuple(sorted(labels.items())))


def test_a_status_is_exported_as_it_is(metrics):
    metrics.show(KEY, STATUS)
    one = {"namespace": "ns", "name": "a"}
    assert value(metrics, "engine_condition", type="Ready", **one) == 1
    assert value(metrics, "engine_condition", type="Available", **one) == 0
    assert value(metrics, "engine_condition", type="NodesHealthy", **one) == -1
    assert value(metrics, "engine_instances", state="desired", **one) == 3
    assert value(metrics, "engine_instances", state="ready", **one) == 2
    assert value(metrics, "engine_nodes", state="failing", **one) == 1


def test_series_of_an_engine_that_is_gone_vanish(metrics):
    metrics.show(KEY, STATUS)
    metrics.show(ObjectKey("ns", "b"), STATUS)
    metrics.hide(KEY)
    metrics.hide(KEY)
    for name in ("engine_condition", "engine_instances", "engine_nodes"):
        assert {dict(labels)["name"] for labels in series(metrics, name)} == {"b"}


def test_a_state_that_an_engine_no_longer_has_vanishes(metrics):
    metrics.show(KEY, STATUS)
    metrics.show(KEY, {})
    assert series(metrics, "engine_condition") == {}
    assert series(metrics, "engine_nodes") == {}


def test_passes_are_counted_from_zero_on(metrics):
    assert value(metrics, "reconcile_total", result="error") == 0
    metrics.reconciled("error", 0.2)
    assert value(metrics, "reconcile_total", result="error") == 1
    assert value(metrics, "reconcile_duration_seconds_count") == 1


def test_requests_are_counted_by_what_came_back(metrics):
    metrics.requested("apply", "services", 409)
    metrics.requested("apply", "services", 0)
    for code in ("409", "0"):
        labels = {"verb": "apply", "resource": "services", "code": code}
        assert value(metrics, "api_requests_total", **labels) == 1


def test_a_gauge_is_read_when_it_is_scraped(metrics):
    depth = [1]
    metrics.gauge("queue_depth", "x", lambda: depth[0])
    depth[0] = 7
    assert value(metrics, "queue_depth") == 7


def test_two_coordinators_in_one_process_do_not_share_counts():
    first, second = Metrics(), Metrics()
    first.status_writes.inc()
    assert value(second, "status_writes_total") == 0
