"""Everything that a status decision may look at, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from coordinator.health.model import NodeHealth
from coordinator.status.reasons import Reason


@dataclass(frozen=True, slots=True)
class Pod:
    """What a status needs of an engine's pod."""

    namespace: str
    name: str
    uid: str
    engine: str
    node: str
    host_ip: str
    pod_ip: str
    is_ready: bool
    is_terminating: bool
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rollout:
    """A DaemonSet's own counts. `is_current` is False while its controller lags behind its spec."""

    desired: int
    ready: int
    updated: int
    is_current: bool


@dataclass(frozen=True, slots=True)
class Fleet:
    """What the node agents say about the nodes of one engine.

    `agents_installed` is False where no agent has ever called and none is deployed.
    """

    agents_installed: bool = False
    nodes: tuple[NodeHealth, ...] = ()


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that keeps an engine from being ready: a reason of the catalogue, a sentence."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Observed:
    """One engine, as the cluster and the agents show it.

    `problems` and `conflicts` are sentences; `port` and `metrics_port` are None where the spec
    cannot be read or the engine has no such port.
    """

    generation: int
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    refused: str = ""
    credential: Trouble | None = None
    rollout: Rollout | None = None
    pods: tuple[Pod, ...] = ()
    port: int | None = None
    metrics_port: int | None = None
    fleet: Fleet = field(default_factory=Fleet)


def pod_from(manifest: Mapping[str, Any]) -> Pod:
    """Project a Pod object as the API server sends it."""
    metadata, spec = manifest["metadata"], manifest.get("spec") or {}
    status = manifest.get("status") or {}
    ready = any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in status.get("conditions") or ()
    )
    started = status.get("startTime")
    return Pod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        engine=(metadata.get("labels") or {}).get("app.kubernetes.io/instance", ""),
        node=spec.get("nodeName") or _intended_node(spec),
        host_ip=status.get("hostIP", ""),
        pod_ip=status.get("podIP", ""),
        is_ready=ready and status.get("phase") == "Running",
        is_terminating=metadata.get("deletionTimestamp") is not None,
        started_at=datetime.fromisoformat(started) if started else None,
    )


def _intended_node(spec: Mapping[str, Any]) -> str:
    """Return the node that the DaemonSet controller made this unscheduled pod for.

    It pins each pod by a node affinity on metadata.name and leaves the rest to the scheduler.
    """
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for match in term.get("matchFields") or ():
            if match.get("key") == "metadata.name" and match.get("values"):
                return str(match["values"][0])
    return ""


def rollout_from(manifest: Mapping[str, Any]) -> Rollout:
    """Project a DaemonSet's status."""
    status = manifest.get("status") or {}
    return Rollout(
        desired=status.get("desiredNumberScheduled", 0),
        ready=status.get("numberReady", 0),
        updated=status.get("updatedNumberScheduled", 0),
        is_current=status.get("observedGeneration", 0) >= manifest["metadata"]["generation"],
    )
