"""What should be true on this node, as the operator coordinator says it. Values only."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from nodeagent.quantities import MIB


class IpcMode(enum.Enum):
    """How an engine and its clients are meant to share memory."""

    HOST_IPC = "hostIPC"
    HOST_PATH = "hostPath"
    ISOLATED = "isolated"


@dataclass(frozen=True, slots=True)
class EnginePod:
    """A pod of an engine on this node; `started_at` is None before its container runs."""

    uid: str
    name: str = ""
    ip: str = ""
    started_at: float | None = None


@dataclass(frozen=True, slots=True)
class Engine:
    """An LMCacheEngine that should run on this node. Sizes are bytes; 0 means not set."""

    uid: str
    namespace: str = ""
    name: str = ""
    pods: tuple[EnginePod, ...] = ()
    service_host: str = ""
    port: int = 0
    gateway_port: int = 0
    metrics_port: int = 0
    l1_size: int = 0
    l1_initial_size: int = 0
    l1_use_hugepages: bool = False
    l1_in_shared_memory: bool = False
    memory_request: int = 0
    memory_limit: int = 0
    ipc_mode: IpcMode = IpcMode.HOST_IPC
    hash_algorithm: str = ""
    chunk_size: int = 0
    l2_address: tuple[str, int] | None = None
    runtime_class_name: str = ""
    privileged: bool = False
    gpu_vendor: str = ""

    @property
    def title(self) -> str:
        """The engine as people write it: `namespace/name`, else its UID."""
        return f"{self.namespace}/{self.name}" if self.name else self.uid

    @property
    def started(self) -> bool:
        """Whether the coordinator has seen a container of this engine run on this node."""
        return any(pod.started_at is not None for pod in self.pods)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where judgements turn. The defaults are the agent's own (node-agent.md §2 and §6).

    `memory_reserve` is the kubelet's default hard eviction threshold (memory.available<100Mi).
    """

    memory_reserve: int = 100 * MIB
    memory_warn_ratio: float = 0.05
    stale_segment_age: float = 600.0
    recovery_rounds: int = 3
    expected_gpus: int | None = None
    xid_classes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Assignment:
    """All that the coordinator expects of this node. `revision` is empty before the first one."""

    revision: str = ""
    engines: tuple[Engine, ...] = ()
    thresholds: Thresholds = field(default_factory=Thresholds)
