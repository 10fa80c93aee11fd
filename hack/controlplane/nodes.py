"""Fake GPU nodes: what kwok is given to play. Pure: returns manifests."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hack.controlplane.servers import FAKE_NODE_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Mapping

# Beside the ranges of services and pods (10.96.0.0/16 and 10.244.0.0/16).
NODE_RANGE = ipaddress.IPv4Network("10.128.0.0/10")


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeNodes:
    """Some equal nodes, named `<prefix>-<number>`."""

    count: int = 4
    prefix: str = "gpu-node"
    first: int = 0
    gpus: int = 8
    """0 makes nodes without the GPU label and resource."""
    cpu: str = "64"
    memory: str = "512Gi"
    pods: int = 110
    labels: Mapping[str, str] = field(default_factory=dict)
    """In addition to, or instead of, the usual ones."""

    def names(self) -> tuple[str, ...]:
        """Return the names of the nodes."""
        return tuple(f"{self.prefix}-{self.first + number}" for number in range(self.count))

    def manifests(self) -> tuple[dict[str, Any], ...]:
        """Return the nodes as API objects."""
        return tuple(fake_node(name, nodes=self) for name in self.names())


def fake_node(name: str, *, nodes: FakeNodes) -> dict[str, Any]:
    """Return one node, as its kubelet would have registered it."""
    resources = {"cpu": nodes.cpu, "memory": nodes.memory, "pods": str(nodes.pods)}
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
    }
    if nodes.gpus:
        resources["nvidia.com/gpu"] = str(nodes.gpus)
        # What NVIDIA's feature discovery puts on a node with GPUs.
        labels["nvidia.com/gpu.present"] = "true"
    annotation, value = FAKE_NODE_ANNOTATION
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {**labels, **nodes.labels},
            "annotations": {annotation: value},
        },
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "addresses": [
                {"type": "InternalIP", "address": address_of(name)},
                {"type": "Hostname", "address": name},
            ],
        },
    }


def address_of(name: str) -> str:
    """Return the address of a node: always the same for a name, and rarely that of another."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return str(NODE_RANGE[1 + number % (NODE_RANGE.num_addresses - 2)])


def is_ready(node: Mapping[str, Any]) -> bool:
    """Whether a node says that it is Ready."""
    conditions = node.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
