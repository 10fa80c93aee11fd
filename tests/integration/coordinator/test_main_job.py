"""From an engine to its objects and a true status, seen from outside with kubectl."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from hack.controlplane import FakeNodes, wait_until
from tests.integration.harness import Cluster, Coordinator, engine_manifest

USER = "system:serviceaccount:lmcache-operator-system:lmcache-coordinator"


@pytest.fixture
def running(cluster: Cluster, coordinator: Coordinator, namespace: str) -> str:
    """A minimal engine that has come up on all nodes."""
    cluster.apply(engine_manifest(), namespace=namespace)
    nodes = len(cluster.get("nodes")["items"])
    cluster.wait_for("my-cache", namespace, phase="Running", readyInstances=nodes)
    return namespace


def test_a_minimal_engine_becomes_its_objects_and_is_running(
    cluster: Cluster, running: str
) -> None:
    engine = cluster.engine("my-cache", running)
    assert engine["status"]["desiredInstances"] == 4
    assert engine["status"]["observedGeneration"] == engine["metadata"]["generation"]
    assert {endpoint["nodeName"] for endpoint in engine["status"]["endpoints"]} == {
        f"gpu-node-{number}" for number in range(4)
    }
    table = cluster.kubectl("get", "lmc", "-n", running)
    assert table.split()[:5] == ["NAME", "PHASE", "READY", "DESIRED", "AGE"]
    assert table.split()[5:9] == ["my-cache", "Running", "4", "4"]
    for kind, name in (
        ("daemonset", "my-cache"),
        ("service", "my-cache"),
        ("service", "my-cache-metrics"),
        ("configmap", "my-cache-connection"),
    ):
        child = cluster.get(kind, name, "-n", running)
        owners = child["metadata"]["ownerReferences"]
        assert [owner["uid"] for owner in owners] == [engine["metadata"]["uid"]]
    service = cluster.get("service", "my-cache", "-n", running)
    assert service["spec"]["internalTrafficPolicy"] == "Local"
    connection = _connection(cluster, running)
    assert connection["lmcache.mp.host"] == f"tcp://my-cache.{running}.svc.cluster.local"
    assert connection["lmcache.mp.port"] == "5555"


def test_conditions_tell_the_truth_and_wait_works(cluster: Cluster, running: str) -> None:
    cluster.kubectl("wait", "--for=condition=Ready", "lmc/my-cache", "-n", running, "--timeout=5s")
    for type_ in ("Ready", "Available", "AllInstancesReady", "ConfigValid"):
        assert cluster.condition("my-cache", running, type_)["status"] == "True", type_
    assert cluster.condition("my-cache", running, "NodesHealthy")["reason"] == "AgentsDisabled"


def test_a_port_change_reaches_everything_and_touches_nothing_else(
    cluster: Cluster, running: str
) -> None:
    metrics = cluster.get("service", "my-cache-metrics", "-n", running)
    cluster.kubectl(
        "patch", "lmc", "my-cache", "-n", running, "--type=merge",
        "-p", '{"spec":{"server":{"port":6555}}}',
    )  # fmt: skip

    def ports() -> bool:
        daemon_set = cluster.get("daemonset", "my-cache", "-n", running)
        container = daemon_set["spec"]["template"]["spec"]["containers"][0]
        service = cluster.get("service", "my-cache", "-n", running)
        status = cluster.engine("my-cache", running)["status"]
        return (
            "6555" in container["args"]
            and [port["port"] for port in service["spec"]["ports"]] == [6555]
            and _connection(cluster, running)["lmcache.mp.port"] == "6555"
            and {endpoint["port"] for endpoint in status["endpoints"]} == {6555}
        )

    wait_until(ports, within=20, what="port 6555 everywhere")
    cluster.wait_for("my-cache", running, phase="Running", readyInstances=4, observedGeneration=2)
    after = cluster.get("service", "my-cache-metrics", "-n", running)
    assert after["metadata"]["resourceVersion"] == metrics["metadata"]["resourceVersion"]


def test_a_new_node_gets_its_pod_and_the_status_follows(cluster: Cluster, running: str) -> None:
    cluster.control_plane.add_nodes(FakeNodes(count=1, prefix="late-node"))
    try:
        cluster.wait_for("my-cache", running, desiredInstances=5, readyInstances=5)
        assert "late-node-0" in _endpoint_nodes(cluster, running)
    finally:
        cluster.kubectl("delete", "node", "late-node-0")
    # The counts are the DaemonSet's, whose controller waits for the pod garbage collector; the
    # endpoint is gone with the node.
    wait_until(
        lambda: "late-node-0" not in _endpoint_nodes(cluster, running),
        within=5,
        what="the endpoint of the deleted node to go",
    )


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("daemonset", "my-cache"),
        ("service", "my-cache"),
        ("service", "my-cache-metrics"),
        ("configmap", "my-cache-connection"),
    ],
)
def test_a_deleted_child_is_back_within_two_seconds(
    cluster: Cluster, running: str, kind: str, name: str
) -> None:
    before = cluster.get(kind, name, "-n", running)["metadata"]["uid"]
    cluster.kubectl("delete", kind, name, "-n", running, "--wait=false")

    def back() -> bool:
        found = cluster.find(kind, name, "-n", running)
        return found is not None and found["metadata"]["uid"] != before

    wait_until(back, within=2, what=f"{kind} {name}")


EMPTY_DIR_OVER_SHM = {
    "spec": {
        "template": {
            "spec": {
                "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory"}}],
                "containers": [
                    {"name": "lmcache", "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}]}
                ],
            }
        }
    }
}


@pytest.mark.parametrize(
    ("kind", "name", "patch"),
    [
        pytest.param("daemonset", "my-cache", EMPTY_DIR_OVER_SHM, id="emptydir-over-dev-shm"),
        pytest.param(
            "daemonset",
            "my-cache",
            {"spec": {"template": {"spec": {"hostIPC": False, "hostNetwork": True}}}},
            id="host-namespaces",
        ),
        pytest.param(
            "daemonset",
            "my-cache",
            {"spec": {"template": {"spec": {"containers": [{"name": "x", "image": "y"}]}}}},
            id="foreign-container",
        ),
        pytest.param(
            "service", "my-cache", {"spec": {"selector": {"foreign": "label"}}}, id="selector"
        ),
        pytest.param(
            "service", "my-cache", {"spec": {"internalTrafficPolicy": "Cluster"}}, id="routing"
        ),
        pytest.param(
            "configmap", "my-cache-connection", {"data": {"kv-transfer-config.json": "{}"}},
            id="connection",
        ),
        pytest.param(
            "service", "my-cache", {"metadata": {"labels": {"app.kubernetes.io/name": "other"}}},
            id="label",
        ),
    ],
)  # fmt: skip
def test_a_child_edited_by_hand_is_right_again_within_two_seconds(
    cluster: Cluster, running: str, kind: str, name: str, patch: dict[str, Any]
) -> None:
    before = _content(cluster.get(kind, name, "-n", running))
    cluster.kubectl("patch", kind, name, "-n", running, "-p", json.dumps(patch))
    wait_until(
        lambda: _content(cluster.get(kind, name, "-n", running)) == before,
        within=2,
        what=f"{kind} {name} as it was",
    )


def test_a_foreign_volume_that_was_removed_is_reported_as_an_event(
    cluster: Cluster, running: str
) -> None:
    cluster.kubectl(
        "patch", "daemonset", "my-cache", "-n", running, "-p", json.dumps(EMPTY_DIR_OVER_SHM)
    )
    wait_until(
        lambda: any(
            event["reason"] == "ForeignFieldsRemoved" and "/dev/shm" in event["message"]
            for event in cluster.get("events", "-n", running)["items"]
        ),
        within=5,
        what="the Event about the removed volume",
    )


def test_labels_annotations_and_restarts_of_others_stay(cluster: Cluster, running: str) -> None:
    cluster.kubectl("label", "service", "my-cache", "-n", running, "team=search")
    cluster.kubectl("rollout", "restart", "daemonset/my-cache", "-n", running)
    cluster.kubectl("rollout", "status", "daemonset/my-cache", "-n", running, "--timeout=30s")
    daemon_set = cluster.get("daemonset", "my-cache", "-n", running)
    annotations = daemon_set["spec"]["template"]["metadata"]["annotations"]
    assert "kubectl.kubernetes.io/restartedAt" in annotations
    assert (
        cluster.get("service", "my-cache", "-n", running)["metadata"]["labels"]["team"] == "search"
    )


def test_deleting_the_engine_leaves_nothing_and_there_is_no_finalizer(
    cluster: Cluster, running: str
) -> None:
    assert "finalizers" not in cluster.engine("my-cache", running)["metadata"]
    assert "annotations" not in cluster.engine("my-cache", running)["metadata"] or not [
        key
        for key in cluster.engine("my-cache", running)["metadata"]["annotations"]
        if "kopf" in key
    ]
    cluster.kubectl("delete", "lmc", "my-cache", "-n", running, "--timeout=10s")

    def leftovers() -> bool:
        items = cluster.get("daemonset,service,configmap,pod", "-n", running)["items"]
        return [i for i in items if i["metadata"]["name"] != "kube-root-ca.crt"] == []

    wait_until(leftovers, within=20, what="an empty namespace")


def test_a_second_pass_over_an_unchanged_engine_writes_nothing(
    cluster: Cluster, coordinator: Coordinator, running: str
) -> None:
    _quiet(cluster, running)
    before, passes = cluster.writes_by(USER, running), _passes(coordinator)
    # An annotation is a change of the engine that means nothing to its children.
    for number in range(5):
        cluster.kubectl(
            "annotate", "lmc", "my-cache", "-n", running, f"look=at-{number}", "--overwrite"
        )
        wait_until(
            lambda done=passes + number: _passes(coordinator) > done,  # type: ignore[misc]
            within=5,
            what="a pass",
        )
    assert cluster.writes_by(USER, running) == before


def _endpoint_nodes(cluster: Cluster, namespace: str) -> set[str]:
    status = cluster.engine("my-cache", namespace)["status"]
    return {endpoint["nodeName"] for endpoint in status["endpoints"]}


def _passes(coordinator: Coordinator) -> float:
    return coordinator.metric('lmcache_operator_reconcile_total{result="ok"}')


def _quiet(cluster: Cluster, namespace: str, *, seconds: float = 2.5) -> None:
    """Wait for a pause in the writes that is longer than the pace of status writes."""
    seen = [cluster.writes_by(USER, namespace), time.monotonic()]

    def quiet() -> bool:
        now = cluster.writes_by(USER, namespace)
        if now != seen[0]:
            seen[:] = [now, time.monotonic()]
        return time.monotonic() - seen[1] > seconds

    wait_until(quiet, within=30, what="no more writes", every=0.25)


def _connection(cluster: Cluster, namespace: str) -> dict[str, Any]:
    data = cluster.get("configmap", "my-cache-connection", "-n", namespace)["data"]
    found: dict[str, Any] = json.loads(data["kv-transfer-config.json"])["kv_connector_extra_config"]
    return found


def _content(manifest: dict[str, Any]) -> dict[str, Any]:
    return {
        "labels": manifest["metadata"].get("labels"),
        "spec": manifest.get("spec"),
        "data": manifest.get("data"),
    }
