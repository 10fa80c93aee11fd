"""What a status needs to explain pods that are not ready: gathered only when there are any."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from coordinator.api.spec import EngineSpec
from coordinator.errors import ApiError
from coordinator.kube.resources import Manifest, ObjectKey
from coordinator.reconcile.room import RoomCounter, memory_request
from coordinator.reconcile.view import ClusterView
from coordinator.status.observed import NodeRoom, Observed, Pod


class Gatherer:
    """Reads the view, and in one case the API server: how full a node is on which a pod waits."""

    def __init__(self, view: ClusterView, rooms: RoomCounter) -> None:
        self._view = view
        self._rooms = rooms

    async def explained(
        self, observed: Observed, key: ObjectKey, spec: EngineSpec | None, *, now: datetime
    ) -> Observed:
        """Return what was observed with what may explain pods that are missing or not ready."""
        daemon_set = self._view.child("DaemonSet", key)
        rollout = observed.rollout
        if daemon_set is None or rollout is None or rollout.desired == 0:
            return observed
        unready = sorted(
            (pod for pod in observed.pods if not pod.is_ready),
            key=lambda pod: (pod.node, pod.name),
        )
        if not unready and len(observed.pods) >= rollout.desired:
            return observed
        template = daemon_set["spec"]["template"]["spec"]
        overrides = (spec.resource_overrides if spec is not None else None) or {}
        is_computed = not (overrides.get("requests") or overrides.get("limits"))
        return replace(
            observed,
            namespace=key.namespace,
            name=key.name,
            now=now,
            missing_runtime_class=self._missing_runtime_class(template),
            memory_request_bytes=memory_request(template),
            l1_size_gb=spec.l1.size_gb if spec is not None and is_computed else None,
            traces=self._view.traces_of(key),
            nodes=await self._nodes(unready),
        )

    def _missing_runtime_class(self, template: Manifest) -> str:
        name = str(template.get("runtimeClassName") or "")
        known = self._view.runtime_classes.get(ObjectKey("", name))
        return name if name and known is None else ""

    async def _nodes(self, unready: list[Pod]) -> dict[str, NodeRoom]:
        # The message describes the first pod that does not fit: one node has to be counted.
        crowded = next((pod.node for pod in unready if "memory" in pod.unschedulable), "")
        rooms = {}
        for name in {pod.node for pod in unready if pod.node}:
            node = self._view.nodes.get(ObjectKey("", name))
            if node is not None:
                rooms[name] = NodeRoom(
                    is_ready=node.is_ready,
                    allocatable_bytes=node.allocatable_memory_bytes,
                    requested_bytes=await self._requested(name) if name == crowded else None,
                )
        return rooms

    async def _requested(self, node: str) -> int | None:
        try:
            return await self._rooms.requested_bytes(node)
        except ApiError:
            # A sentence with one number less; the next pass tries again.
            return None
