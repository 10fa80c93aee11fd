"""ServiceMonitors where the cluster knows them, and a sentence where it does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hack.controlplane import wait_until
from tests.integration.harness import Cluster, Coordinator, engine_manifest

CRD = "servicemonitors.monitoring.coreos.com"


@pytest.fixture
def crd(cluster: Cluster) -> Iterator[dict[str, object]]:
    """The kind as the Prometheus operator brings it, as far as names and versions go."""
    yield {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": CRD},
        "spec": {
            "group": "monitoring.coreos.com",
            "names": {
                "kind": "ServiceMonitor",
                "listKind": "ServiceMonitorList",
                "plural": "servicemonitors",
                "singular": "servicemonitor",
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {
                                "spec": {
                                    "type": "object",
                                    "x-kubernetes-preserve-unknown-fields": True,
                                }
                            },
                        }
                    },
                }
            ],
        },
    }
    cluster.kubectl("delete", "crd", CRD, "--ignore-not-found", "--timeout=20s")


def _monitored(enabled: bool) -> dict[str, object]:
    return engine_manifest(prometheus={"serviceMonitor": {"enabled": enabled}})


def test_a_service_monitor_is_made_when_its_crd_comes_and_lives_as_a_child(
    cluster: Cluster, coordinator: Coordinator, namespace: str, crd: dict[str, object]
) -> None:
    cluster.apply(_monitored(True), namespace=namespace)
    cluster.wait_for("my-cache", namespace, phase="Running")
    valid = cluster.condition("my-cache", namespace, "ConfigValid")
    assert valid["status"] == "True"
    assert valid["message"].endswith(
        "the cluster has no ServiceMonitor CRD, so nothing tells Prometheus to scrape the metrics;"
        " install the Prometheus Operator, and the ServiceMonitor is made by itself."
    )

    cluster.apply(crd)
    cluster.kubectl("wait", "--for=condition=Established", f"crd/{CRD}", "--timeout=20s")
    monitor = wait_until(
        lambda: cluster.find(f"{CRD}", "my-cache", "-n", namespace),
        within=30,
        what="the ServiceMonitor",
    )
    assert monitor["spec"]["endpoints"][0]["port"] == "metrics"
    engine = cluster.engine("my-cache", namespace)
    owners = [owner["uid"] for owner in monitor["metadata"]["ownerReferences"]]
    assert owners == [engine["metadata"]["uid"]]
    wait_until(
        lambda: (
            "ServiceMonitor"
            not in cluster.condition("my-cache", namespace, "ConfigValid")["message"]
        ),
        within=10,
        what="the warning to go",
    )

    # It is followed like any other child: what was deleted by hand comes back.
    cluster.kubectl("delete", CRD, "my-cache", "-n", namespace)
    wait_until(
        lambda: (
            (again := cluster.find(CRD, "my-cache", "-n", namespace)) is not None
            and again["metadata"]["uid"] != monitor["metadata"]["uid"]
        ),
        within=10,
        what="the ServiceMonitor to come back",
    )

    cluster.apply(_monitored(False), namespace=namespace)
    wait_until(
        lambda: cluster.find(CRD, "my-cache", "-n", namespace) is None,
        within=10,
        what="the ServiceMonitor to be pruned",
    )

    # Without its CRD the kind is no longer watched, and nothing fails over it.
    cluster.apply(_monitored(True), namespace=namespace)
    cluster.kubectl("delete", "crd", CRD, "--timeout=20s")
    wait_until(
        lambda: (
            "no ServiceMonitor CRD"
            in cluster.condition("my-cache", namespace, "ConfigValid")["message"]
        ),
        within=20,
        what="the absence of the CRD to be reported",
    )
    assert cluster.condition("my-cache", namespace)["status"] == "True"
