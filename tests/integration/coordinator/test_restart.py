"""A coordinator that starts over what is right already changes nothing; over what is not, mends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from hack.controlplane import wait_until
from tests.integration.coordinator.test_main_job import EMPTY_DIR_OVER_SHM
from tests.integration.harness import (
    REPOSITORY,
    Cluster,
    engine_manifest,
    running_coordinator,
)

USER = "system:serviceaccount:lmcache-operator-system:lmcache-coordinator"

# One of each shape whose live object the server rewrites: quantities, defaults, lists.
SHAPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "resources": {
        "resourceOverrides": {"requests": {"cpu": 8, "memory": "66560Mi"}, "limits": {"cpu": "8.5"}}
    },
    "volumes": {
        "volumes": [{"name": "nvme", "hostPath": {"path": "/data"}}],
        "volumeMounts": [{"name": "nvme", "mountPath": "/data"}],
        "env": [
            {"name": "EMPTY", "value": ""},
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
        "initContainers": [{"name": "init", "image": "busybox", "command": ["true"]}],
    },
    "placement": {
        "tolerations": [{"operator": "Exists"}],
        "nodeSelector": {"nvidia.com/gpu.present": "true"},
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 1,
                        "podAffinityTerm": {
                            "topologyKey": "kubernetes.io/hostname",
                            "labelSelector": {"matchLabels": {"a": "b"}},
                        },
                    }
                ]
            }
        },
    },
    "host": {"hostNetwork": True, "isolatedIPC": True, "privileged": False},
    "labels": {"podLabels": {"team": "x"}, "podAnnotations": {"note": "words"}},
}


def test_a_restart_over_unchanged_engines_writes_nothing(
    cluster: Cluster, coordinator_kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    for name, spec in SHAPES.items():
        cluster.apply(engine_manifest(name, **spec), namespace=namespace)
    with running_coordinator(coordinator_kubeconfig, tmp_path / "first"):
        for name in SHAPES:
            cluster.wait_for(name, namespace, desiredInstances=4, within=60)
            cluster.wait_reason(name, namespace, "AllReady", within=60)
    before = cluster.writes_by(USER, namespace)
    with running_coordinator(coordinator_kubeconfig, tmp_path / "second") as second:
        passes = 'lmcache_operator_reconcile_total{result="ok"}'
        wait_until(lambda: second.metric(passes) >= len(SHAPES), within=20, what="all passes")
        wait_until(
            lambda: second.metric("lmcache_operator_queue_depth") == 0, within=10, what="quiet"
        )
    written = cluster.writes_by(USER, namespace) - before
    assert written == 0, (tmp_path / "second").read_text()


def test_what_changed_while_the_coordinator_was_away_is_mended(
    cluster: Cluster, coordinator_kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    cluster.apply(engine_manifest(), namespace=namespace)
    with running_coordinator(coordinator_kubeconfig, tmp_path / "first") as first:
        cluster.wait_reason("my-cache", namespace, "AllReady")
        first.kill()
    cluster.kubectl("delete", "service", "my-cache", "-n", namespace)
    cluster.kubectl(
        "patch", "daemonset", "my-cache", "-n", namespace, "-p", yaml.safe_dump(EMPTY_DIR_OVER_SHM)
    )
    cluster.kubectl(
        "patch", "lmc", "my-cache", "-n", namespace, "--type=merge",
        "-p", '{"spec":{"server":{"port":6555}}}',
    )  # fmt: skip
    with running_coordinator(coordinator_kubeconfig, tmp_path / "second"):
        cluster.wait_for("my-cache", namespace, observedGeneration=2, phase="Running", within=60)
        daemon_set = cluster.get("daemonset", "my-cache", "-n", namespace)
        pod_spec = daemon_set["spec"]["template"]["spec"]
        assert "volumes" not in pod_spec
        assert "6555" in pod_spec["containers"][0]["args"]
        assert cluster.find("service", "my-cache", "-n", namespace) is not None


def test_the_samples_are_accepted_and_become_ready(
    cluster: Cluster, coordinator_kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    with running_coordinator(coordinator_kubeconfig, tmp_path / "log"):
        for sample in sorted((REPOSITORY / "deploy/samples").glob("*.yaml")):
            documents = list(yaml.safe_load_all(sample.read_text()))
            for document in documents:
                metadata = document["metadata"]
                where = metadata.setdefault("namespace", namespace)
                if where != namespace:
                    cluster.namespace(where)
                if document["kind"] == "LMCacheEngine":
                    metadata["name"] = f"{sample.stem}"
                cluster.apply(document)
            for document in documents:
                if document["kind"] == "LMCacheEngine":
                    cluster.wait_reason(
                        document["metadata"]["name"],
                        document["metadata"]["namespace"],
                        "AllReady",
                        within=60,
                    )
