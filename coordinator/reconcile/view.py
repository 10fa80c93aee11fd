"""The part of the cluster that reconciling looks at, kept current by informers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from coordinator.kube.client import KubeClient
from coordinator.kube.informer import Informer
from coordinator.kube.quantities import parse_quantity
from coordinator.kube.resources import (
    CONFIG_MAPS,
    DAEMON_SETS,
    NODES,
    PODS,
    RUNTIME_CLASSES,
    SERVICE_MONITORS,
    SERVICES,
    Manifest,
    ObjectKey,
)
from coordinator.reconcile.event_watch import EventWatch
from coordinator.reconcile.monitors import ServiceMonitorWatch
from coordinator.render.labels import COMPONENT, INSTANCE, MANAGED_BY
from coordinator.status.observed import Pod, pod_from
from coordinator.status.traces import Trace

SELECTOR = ",".join(f"{key}={value}" for key, value in (MANAGED_BY, COMPONENT))
POD_SELECTOR = SELECTOR
AGENT_DAEMON_SET = "lmcache-node-agent"

Wake = Callable[[ObjectKey], None]


@dataclass(frozen=True, slots=True)
class Node:
    """What decisions use of a Node: nothing that its heartbeats change."""

    name: str
    is_ready: bool
    gpu_label: bool
    allocatable_memory_bytes: int
    gpus: int
    created_at: datetime


class ClusterView:
    """Children, pods and nodes.

    `wake(key)` is called with each engine whose truth may have moved; `wake_node(name)` with each
    node that came, left or changed, and with "" when something did that all engines depend on.
    """

    def __init__(self, client: KubeClient, *, wake: Wake, wake_node: Callable[[str], None]) -> None:
        self._wake = wake
        self._wake_node = wake_node
        # Node -> its engine pods -> their engines: a report concerns a handful of engines, and a
        # look through all pods to find them would be linear in what did not change.
        self._on_node: dict[str, dict[ObjectKey, ObjectKey]] = {}
        self._children: dict[str, Informer[Manifest]] = {
            resource.kind: Informer(
                client,
                resource,
                label_selector=SELECTOR,
                project=lambda manifest: manifest,
                index=_engine_of,
                on_change=self._child_changed,
            )
            for resource in (DAEMON_SETS, SERVICES, CONFIG_MAPS)
        }
        self.monitors = ServiceMonitorWatch(
            client,
            label_selector=SELECTOR,
            index=_engine_of,
            on_change=self._child_changed,
            on_support=lambda: wake_node(""),
        )
        self.pods: Informer[Pod] = Informer(
            client,
            PODS,
            label_selector=POD_SELECTOR,
            project=pod_from,
            index=lambda pod: ObjectKey(pod.namespace, pod.engine),
            on_change=self._pod_changed,
        )
        self.nodes: Informer[Node] = Informer(
            client, NODES, project=node_from, on_change=self._node_changed
        )
        self.agents: Informer[str] = Informer(
            client,
            DAEMON_SETS,
            field_selector=f"metadata.name={AGENT_DAEMON_SET}",
            project=lambda manifest: str(manifest["metadata"]["namespace"]),
            on_change=lambda key, _old, _new: self._wake_node(""),
        )

        self.runtime_classes: Informer[str] = Informer(
            client,
            RUNTIME_CLASSES,
            project=lambda manifest: str(manifest["handler"]),
            on_change=lambda _key, _old, _new: wake_node(""),
        )
        self.events = EventWatch(client, on_trace=self._event_seen)

    @property
    def children(self) -> dict[str, Informer[Manifest]]:
        """Return what is kept of the children, by kind."""
        return {**self._children, SERVICE_MONITORS.kind: self.monitors.objects}

    @property
    def informers(self) -> tuple[Informer[Any], ...]:
        """Return all informers that are to be run and waited for: those of kinds that are there."""
        return (
            *self._children.values(),
            self.pods,
            self.nodes,
            self.agents,
            self.monitors.crd,
            self.runtime_classes,
            *self.events.informers,
        )

    async def wait_synced(self) -> None:
        """Wait until the first list of every kind is complete."""
        await asyncio.gather(*(informer.wait_synced() for informer in self.informers))

    def children_of(self, engine: ObjectKey, uid: str) -> list[Manifest]:
        """Return the objects that this engine controls."""
        return [
            child
            for informer in self.children.values()
            for child in informer.group(engine).values()
            if controller_uid(child) == uid
        ]

    def child(self, kind: str, key: ObjectKey) -> Manifest | None:
        """Return a live child as last seen."""
        return self.children[kind].get(key)

    def pods_of(self, engine: ObjectKey) -> tuple[Pod, ...]:
        """Return an engine's pods, without those whose node has left the cluster.

        The pod garbage collector takes about a minute to remove them, and nothing serves there.
        """
        return tuple(
            pod
            for pod in self.pods.group(engine).values()
            if not pod.node or self.nodes.get(ObjectKey("", pod.node)) is not None
        )

    def traces_of(self, engine: ObjectKey) -> dict[str, tuple[Trace, ...]]:
        """Return the Events about an engine's pods that are not ready, and about its DaemonSet."""
        about = {pod.uid: pod.uid for pod in self.pods_of(engine) if not pod.is_ready}
        daemon_set = self.child("DaemonSet", engine)
        if daemon_set is not None:
            about[""] = daemon_set["metadata"]["uid"]
        found = {name: self.events.about(uid) for name, uid in about.items()}
        return {name: traces for name, traces in found.items() if traces}

    def engines_on(self, node: str) -> set[ObjectKey]:
        """Return the engines that have a pod on this node."""
        return set(self._on_node.get(node, {}).values())

    def _child_changed(self, _key: ObjectKey, old: Manifest | None, new: Manifest | None) -> None:
        for manifest in (old, new):
            key = _engine_of(manifest) if manifest is not None else None
            if key is not None:
                self._wake(key)

    def _event_seen(self, trace: Trace) -> None:
        # Most Events are about pods of others. One that comes before its object wakes nobody, and
        # need not: the object's own change will.
        key = ObjectKey(trace.namespace, trace.name)
        if trace.kind == "DaemonSet":
            child = self.child("DaemonSet", key)
            if child is not None and child["metadata"]["uid"] == trace.uid:
                self._wake(key)
            return
        pod = self.pods.get(key)
        if pod is not None and pod.uid == trace.uid:
            self._wake(ObjectKey(pod.namespace, pod.engine))

    def _pod_changed(self, key: ObjectKey, old: Pod | None, new: Pod | None) -> None:
        if old is not None:
            pods = self._on_node.get(old.node, {})
            pods.pop(key, None)
            if not pods:
                self._on_node.pop(old.node, None)
        if new is not None:
            self._on_node.setdefault(new.node, {})[key] = ObjectKey(new.namespace, new.engine)
        for pod in (old, new):
            if pod is not None:
                self._wake(ObjectKey(pod.namespace, pod.engine))

    def _node_changed(self, key: ObjectKey, _old: Node | None, _new: Node | None) -> None:
        self._wake_node(key.name)


def controller_uid(manifest: Manifest) -> str | None:
    """Return the UID of the object's controller, if it has one."""
    for reference in manifest["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return str(reference["uid"])
    return None


def node_from(manifest: Manifest) -> Node:
    """Project a Node object."""
    metadata, status = manifest["metadata"], manifest.get("status") or {}
    allocatable = status.get("allocatable") or {}
    return Node(
        name=metadata["name"],
        is_ready=any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in status.get("conditions") or ()
        ),
        gpu_label=(metadata.get("labels") or {}).get("nvidia.com/gpu.present") == "true",
        allocatable_memory_bytes=int(parse_quantity(allocatable.get("memory", "0"))),
        gpus=_gpus(metadata.get("labels") or {}, allocatable),
        created_at=datetime.fromisoformat(metadata["creationTimestamp"]),
    )


def _gpus(labels: dict[str, str], allocatable: dict[str, str]) -> int:
    """Return the physical GPUs that the node promises.

    The GPU operator's label counts boards; status.allocatable counts shares under time-slicing and
    is what there is without the label.
    """
    counted = labels.get("nvidia.com/gpu.count", "")
    if counted.isascii() and counted.isdecimal():
        return int(counted)
    return int(parse_quantity(allocatable.get("nvidia.com/gpu", "0")))


def _engine_of(manifest: Manifest) -> ObjectKey | None:
    metadata = manifest["metadata"]
    name = (metadata.get("labels") or {}).get(INSTANCE)
    return ObjectKey(metadata["namespace"], name) if name else None
