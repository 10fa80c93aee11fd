"""Engines do not disturb each other, whatever happens to one of them."""

from __future__ import annotations

from hack.controlplane import wait_until
from tests.integration.harness import Cluster, Coordinator, engine_manifest


def test_two_engines_in_two_namespaces_have_their_own_children(
    cluster: Cluster, coordinator: Coordinator, namespace: str
) -> None:
    other = cluster.namespace(f"{namespace}-b")
    cluster.apply(engine_manifest(), namespace=namespace)
    cluster.apply(engine_manifest(server={"port": 7555}), namespace=other)
    for where, port in ((namespace, 5555), (other, 7555)):
        status = cluster.wait_for("my-cache", where, phase="Running", readyInstances=4)
        assert {endpoint["port"] for endpoint in status["endpoints"]} == {port}
    cluster.kubectl("delete", "lmc", "my-cache", "-n", other)
    wait_until(
        lambda: cluster.find("daemonset", "my-cache", "-n", other) is None,
        within=20,
        what="the children of the deleted engine to go",
    )
    assert cluster.engine("my-cache", namespace)["status"]["phase"] == "Running"
    cluster.kubectl("delete", "namespace", other, "--wait=false")


def test_a_namespace_that_is_being_deleted_holds_nobody_up(
    cluster: Cluster, coordinator: Coordinator, namespace: str
) -> None:
    doomed = cluster.namespace(f"{namespace}-x")
    cluster.apply(engine_manifest(), namespace=doomed)
    cluster.wait_for("my-cache", doomed, phase="Running")
    # A finalizer of somebody else's keeps the namespace, and the engine in it, half gone.
    cluster.kubectl(
        "patch", "lmc", "my-cache", "-n", doomed, "--type=merge",
        "-p", '{"metadata":{"finalizers":["example.com/hold"]}}',
    )  # fmt: skip
    cluster.kubectl("delete", "namespace", doomed, "--wait=false")
    cluster.apply(engine_manifest(), namespace=namespace)
    cluster.wait_for("my-cache", namespace, phase="Running", readyInstances=4)
    errors = 'lmcache_operator_reconcile_total{result="error"}'
    assert coordinator.metric(errors) == 0
    cluster.kubectl(
        "patch", "lmc", "my-cache", "-n", doomed, "--type=merge",
        "-p", '{"metadata":{"finalizers":null}}',
    )  # fmt: skip
    wait_until(
        lambda: cluster.find("namespace", doomed) is None, within=60, what="the namespace to go"
    )


def test_an_object_of_somebody_else_is_reported_and_left_alone(
    cluster: Cluster, coordinator: Coordinator, namespace: str
) -> None:
    theirs = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "my-cache-connection"},
        "data": {"theirs": "yes"},
    }
    cluster.apply(theirs, namespace=namespace)
    cluster.apply(engine_manifest(), namespace=namespace)
    condition = cluster.wait_reason("my-cache", namespace, "Conflict")
    assert condition["status"] == "False"
    assert "ConfigMap my-cache-connection exists" in condition["message"]
    assert cluster.engine("my-cache", namespace)["status"]["phase"] == "Failed"
    assert cluster.get("configmap", "my-cache-connection", "-n", namespace)["data"] == {
        "theirs": "yes"
    }
    # Gone is gone: nobody has to touch the engine for it to go on.
    cluster.kubectl("delete", "configmap", "my-cache-connection", "-n", namespace)
    cluster.wait_for("my-cache", namespace, phase="Running", readyInstances=4, within=60)


def test_children_whose_controller_is_the_engine_are_adopted(
    cluster: Cluster, coordinator: Coordinator, namespace: str
) -> None:
    # Made by another manager, as the Go operator makes it, under the engine's own reference.
    cluster.apply(engine_manifest(), namespace=namespace)
    cluster.wait_for("my-cache", namespace, phase="Running", readyInstances=4)
    uid = cluster.engine("my-cache", namespace)["metadata"]["uid"]
    service = cluster.get("service", "my-cache", "-n", namespace)
    cluster.kubectl(
        "label", "service", "my-cache", "-n", namespace,
        "app.kubernetes.io/managed-by-", "app.kubernetes.io/component-",
    )  # fmt: skip

    def repaired() -> bool:
        found = cluster.get("service", "my-cache", "-n", namespace)["metadata"]
        return bool(
            found["labels"].get("app.kubernetes.io/component") == "cache-engine"
            and found["uid"] == service["metadata"]["uid"]
            and found["ownerReferences"][0]["uid"] == uid
        )

    wait_until(repaired, within=5, what="the labels to be back on the same Service")
