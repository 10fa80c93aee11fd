"""What should be true on a node, as its agent is told. Pure but for the cache of answers."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from coordinator.api.effective import IpcMode, ipc_mode, privileged, runtime_class
from coordinator.api.engine import Engine
from coordinator.status.observed import Pod

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class PodOnNode:
    """What an agent must know of an engine's pod: nothing that its readiness changes."""

    uid: str
    name: str
    pod_ip: str
    started_at: datetime | None


@dataclass(frozen=True, slots=True)
class EngineOnNode:
    """One engine as it should run on one node. Sizes in bytes."""

    namespace: str
    name: str
    uid: str
    pods: tuple[PodOnNode, ...]
    service_host: str
    port: int
    metrics_port: int
    l1_size_bytes: int
    l1_init_size_bytes: int
    l1_use_hugepages: bool
    memory_request_bytes: int
    memory_limit_bytes: int
    ipc_mode: IpcMode
    hash_algorithm: str
    chunk_size: int
    l2_address: tuple[str, int] | None
    runtime_class_name: str
    privileged: bool
    gpu_vendor: str
    gateway_port: int = 0
    l1_in_shared_memory: bool = False


@dataclass(frozen=True, slots=True)
class Assignment:
    """All engines of one node, and what its Node object promises."""

    engines: tuple[EngineOnNode, ...]
    expected_gpus: int | None = None
    memory_reserve_bytes: int = 0
    revision: str = ""


def engine_on_node(
    engine: Engine,
    pods: Iterable[Pod],
    *,
    cluster_domain: str,
    memory_request_bytes: int,
    memory_limit_bytes: int,
    gateway_port: int = 0,
) -> EngineOnNode:
    """Return what an agent must know of an engine whose pods on the node are given."""
    spec = engine.spec
    resp = spec.l2_backend.resp if spec.l2_backend else None
    return EngineOnNode(
        namespace=engine.namespace,
        name=engine.name,
        uid=engine.uid,
        pods=tuple(
            PodOnNode(pod.uid, pod.name, pod.pod_ip, pod.started_at)
            for pod in sorted(pods, key=lambda pod: pod.name)
        ),
        service_host=f"{engine.name}.{engine.namespace}.svc.{cluster_domain}",
        port=spec.server.port,
        metrics_port=spec.prometheus.port if spec.prometheus.enabled else 0,
        l1_size_bytes=int(Decimal(str(spec.l1.size_gb)) * GIB),
        l1_init_size_bytes=int(Decimal(str(spec.l1.init_size_gb or 0)) * GIB),
        l1_use_hugepages=bool(spec.l1.use_hugepages),
        memory_request_bytes=memory_request_bytes,
        memory_limit_bytes=memory_limit_bytes,
        ipc_mode=ipc_mode(spec),
        hash_algorithm=spec.server.hash_algorithm,
        chunk_size=spec.server.chunk_size,
        l2_address=(resp.host, resp.port) if resp else None,
        runtime_class_name=runtime_class(spec) or "",
        privileged=privileged(spec),
        gpu_vendor=spec.gpu_vendor,
        gateway_port=gateway_port,
        l1_in_shared_memory=_l1_in_shared_memory(spec.extra_args),
    )


def _l1_in_shared_memory(extra_args: Sequence[str]) -> bool:
    """Tell whether the server keeps L1 in /dev/shm: the last --supported-transfer-mode decides."""
    words = " ".join(extra_args).replace("=", " ").split()
    modes = [
        value for flag, value in itertools.pairwise(words) if flag == "--supported-transfer-mode"
    ]
    return bool(modes) and modes[-1] in ("auto", "engine_driven")


def with_revision(assignment: Assignment) -> Assignment:
    """Return the assignment with a revision that changes when, and only when, its content does."""
    bare = replace(assignment, revision="")
    # Frozen dataclasses of plain values: repr is complete and stable.
    digest = hashlib.blake2b(repr(bare).encode(), digest_size=12).hexdigest()
    return replace(bare, revision=digest)


class AssignmentBook:
    """The assignment of each node, computed when something about the node has changed.

    A heartbeat costs one look-up.
    """

    def __init__(self, *, compute: Callable[[str], Assignment]) -> None:
        self._compute = compute
        self._known: dict[str, Assignment] = {}

    def outdate(self, node: str) -> None:
        """Say that something about this node may have changed."""
        self._known.pop(node, None)

    def outdate_all(self) -> None:
        """Say that anything may have changed."""
        self._known.clear()

    def get(self, node: str) -> Assignment:
        """Return the node's assignment with its revision."""
        known = self._known.get(node)
        if known is None:
            known = with_revision(self._compute(node))
            self._known[node] = known
        return known
