"""How much memory is left on a node: counted only where a pod does not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from coordinator.kube.client import KubeClient
from coordinator.kube.quantities import parse_quantity
from coordinator.kube.resources import PODS

# The scheduler tries again on each change; for a sentence this is fresh enough.
COUNT_SECONDS = 30.0
MAX_NODES = 1024


class RoomCounter:
    """Counts what the pods of a node have asked for.

    The operator watches only its own pods. All pods of one node are read where somebody needs the
    number, at most every 30 s for a node.
    """

    def __init__(self, client: KubeClient, *, clock: Callable[[], float]) -> None:
        self._client = client
        self._clock = clock
        self._counts: dict[str, tuple[float, int]] = {}

    async def requested_bytes(self, node: str) -> int:
        """Return the memory that the pods on a node have asked for. Raises the ApiErrors."""
        known = self._counts.get(node)
        if known is not None and self._clock() - known[0] < COUNT_SECONDS:
            return known[1]
        total = 0
        async for page in self._client.list_chunks(PODS, field_selector=f"spec.nodeName={node}"):
            for pod in page.get("items") or ():
                if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
                    total += memory_request(pod.get("spec") or {})
        if len(self._counts) >= MAX_NODES:
            self._counts.clear()
        self._counts[node] = (self._clock(), total)
        return total


def memory_request(spec: Mapping[str, Any]) -> int:
    """Return the bytes of memory that the scheduler sets aside for a pod.

    The containers together or the largest init container, whichever is more, and the overhead of
    the runtime class. Init containers that stay (restartPolicy Always) count with the containers.
    """
    staying, largest = 0, 0
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            staying += _memory(container)
        else:
            largest = max(largest, staying + _memory(container))
    together = staying + sum(_memory(container) for container in spec.get("containers") or ())
    overhead = (spec.get("overhead") or {}).get("memory", 0)
    return max(together, largest) + int(parse_quantity(overhead))


def _memory(container: Mapping[str, Any]) -> int:
    requests = (container.get("resources") or {}).get("requests") or {}
    return int(parse_quantity(requests.get("memory", 0)))
