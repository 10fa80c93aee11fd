"""Everything that a status decision may look at, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from coordinator.health.model import NodeHealth
from coordinator.status.containers import Container, containers_from, moment, one_line
from coordinator.status.reasons import Reason
from coordinator.status.traces import Trace


@dataclass(frozen=True, slots=True)
class Pod:
    """What a status needs of an engine's pod.

    `unschedulable` is the scheduler's sentence, `rejected` that of a kubelet that has evicted or
    not admitted the pod.
    """

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
    created_at: datetime | None = None
    unschedulable: str = ""
    rejected: str = ""
    containers: tuple[Container, ...] = ()


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
class NodeRoom:
    """A node on which a pod is not ready, and the memory there.

    `requested_bytes` is what pods of others have asked for, None where nobody has counted it.
    """

    is_ready: bool = True
    allocatable_bytes: int = 0
    requested_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that keeps an engine from being ready: a reason of the catalogue, a sentence."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Observed:
    """One engine, as the cluster and the agents show it.

    `problems` and `conflicts` are sentences; `port` and `metrics_port` are None where the spec
    cannot be read or the engine has no such port. `missing_runtime_class` names the RuntimeClass
    that the pods need and the cluster does not have. `memory_request_bytes` is what one pod asks
    the scheduler for, of which `l1_size_gb` follows from the spec (None where the spec sets the
    request itself). `traces` are Events by the UID of what they
    are about, "" for the DaemonSet, newest first. `nodes` are those of pods that are not ready.
    """

    generation: int
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    refused: str = ""
    credential: Trouble | None = None
    namespace: str = ""
    name: str = ""
    now: datetime | None = None
    missing_runtime_class: str = ""
    memory_request_bytes: int = 0
    l1_size_gb: float | None = None
    traces: Mapping[str, tuple[Trace, ...]] = field(default_factory=dict)
    nodes: Mapping[str, NodeRoom] = field(default_factory=dict)
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
        created_at=moment(metadata.get("creationTimestamp")),
        unschedulable=_unschedulable(status),
        rejected=_rejected(status),
        containers=containers_from(manifest),
    )


def _unschedulable(status: Mapping[str, Any]) -> str:
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return one_line(condition.get("message", "")) or "Unschedulable"
    return ""


def _rejected(status: Mapping[str, Any]) -> str:
    if status.get("phase") != "Failed" or not status.get("reason"):
        return ""
    return f"{status['reason']}: {one_line(status.get('message', ''))}".removesuffix(": ")


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
