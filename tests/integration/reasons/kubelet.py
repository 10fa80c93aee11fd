"""A node whose kubelet is the test: pods bound to it stay as they are until they are patched."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hack.controlplane import wait_until
from tests.integration.harness import Cluster

LABEL = "test.lmcache.ai/node"


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Kubelet:
    """Does what a kubelet would, one step at a time."""

    cluster: Cluster
    name: str

    @property
    def selector(self) -> dict[str, str]:
        return {LABEL: self.name}

    def pod(self, namespace: str) -> dict[str, Any]:
        """Wait for a pod on this node, and return it."""

        def look() -> dict[str, Any] | None:
            ours = "app.kubernetes.io/component=cache-engine"
            pods = self.cluster.get("pods", "-n", namespace, "-l", ours)["items"]
            return next((p for p in pods if p["spec"].get("nodeName") == self.name), None)

        return wait_until(look, within=30, what=f"a pod on {self.name}")

    def say(self, namespace: str, *containers: dict[str, Any], **status: Any) -> dict[str, Any]:
        """Set the status of the pod on this node, with these container statuses."""
        pod = self.pod(namespace)
        images = {c["name"]: c["image"] for c in pod["spec"]["containers"]}
        full = [
            {
                "image": images[container["name"]],
                "imageID": "",
                "ready": False,
                "restartCount": 0,
                "started": False,
                **container,
            }
            for container in containers
        ]
        ready = bool(full) and all(container["ready"] for container in full)
        body = {
            "status": {
                "phase": "Pending",
                "startTime": now(),
                "conditions": [
                    {
                        "type": "Ready",
                        "status": str(ready),
                        "lastTransitionTime": now(),
                    }
                ],
                "containerStatuses": full,
                **status,
            }
        }
        self.cluster.kubectl(
            "patch", "pod", pod["metadata"]["name"], "-n", namespace,
            "--subresource=status", "--type=merge", "-p", json.dumps(body),
        )  # fmt: skip
        return pod

    def waits(self, namespace: str, reason: str, message: str = "", **rest: Any) -> dict[str, Any]:
        """Let the cache server wait for a reason."""
        state = {"waiting": {"reason": reason, "message": message}}
        return self.say(namespace, {"name": "lmcache", "state": state, **rest})

    def runs(self, namespace: str, *, ready: bool = True, **rest: Any) -> dict[str, Any]:
        """Let the cache server run."""
        running = {"running": {"startedAt": now()}}
        container = {"name": "lmcache", "state": running, "ready": ready, "started": True, **rest}
        return self.say(namespace, container, phase="Running")

    def event(self, pod: dict[str, Any], reason: str, message: str, *, container: str = "") -> None:
        """Write an Event about a pod, as a kubelet does."""
        metadata = pod["metadata"]
        about = {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        }
        if container:
            about["fieldPath"] = f"spec.containers{{{container}}}"
        self.cluster.kubectl(
            "create", "-n", metadata["namespace"], "-f", "-",
            stdin=json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Event",
                    "metadata": {"generateName": "by-hand-"},
                    "involvedObject": about,
                    "type": "Warning",
                    "reason": reason,
                    "message": message,
                    "source": {"component": "kubelet", "host": self.name},
                    "firstTimestamp": now(),
                    "lastTimestamp": now(),
                    "count": 1,
                }
            ),
        )  # fmt: skip


def add_node(cluster: Cluster, name: str, *, memory: str = "512Gi") -> None:
    """Add a node that nobody plays: without kwok's annotation, ready because we say so."""
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "labels": {LABEL: name, "kubernetes.io/hostname": name},
            },
        }
    )
    resources = {"cpu": "64", "memory": memory, "pods": "110"}
    status = {
        "capacity": resources,
        "allocatable": resources,
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "KubeletReady",
                "lastHeartbeatTime": now(),
                "lastTransitionTime": now(),
            }
        ],
    }
    cluster.kubectl(
        "patch", "node", name, "--subresource=status", "--type=merge",
        "-p", json.dumps({"status": status}),
    )  # fmt: skip
