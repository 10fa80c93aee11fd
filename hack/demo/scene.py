"""What is true on each of the demo's nodes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hack.demo.host_root import GIB, HostProcess, HostRoot, Memory
from tests.fakenvml.scenario import Scenario, healthy

GPUS = 8
FIRST_PID = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeScene:
    """One node: its story in a few words, its GPUs, its memory, and whether its agent goes on."""

    name: str
    story: str
    gpus: Scenario
    memory: Memory = field(default_factory=Memory)
    falls_silent: bool = False

    def host(self, pods: Sequence[Any]) -> HostRoot:
        """Return the node's files while these engine pods (as the API shows them) run on it."""
        return HostRoot(
            memory=self.memory,
            processes=tuple(
                HostProcess(
                    pid=FIRST_PID + number,
                    pod_uid=pod["metadata"]["uid"],
                    resident=1 * GIB,
                    limit=98 * GIB,
                )
                for number, pod in enumerate(sorted(pods, key=lambda p: p["metadata"]["uid"]))
            ),
            pci_gpus=GPUS,
            boot_id=f"5e2d9a7c-0000-4000-8000-{abs(hash_of(self.name)) % 10**12:012d}",
        )


def hash_of(text: str) -> int:
    """Return a number that is the same in every process."""
    return int.from_bytes(text.encode()[-6:], "big")


def scenes(prefix: str = "gpu-node") -> tuple[NodeScene, ...]:
    """Return the four nodes: one healthy, one with a lost GPU, one short of memory, one silent."""
    good = healthy(GPUS)
    return (
        NodeScene(name=f"{prefix}-0", story="healthy", gpus=good),
        NodeScene(name=f"{prefix}-1", story="GPU 3 is lost", gpus=good.with_lost_gpu(3)),
        NodeScene(
            name=f"{prefix}-2",
            story="too little memory for L1",
            gpus=good,
            memory=Memory(available=40 * GIB, free=30 * GIB, inactive_file=10 * GIB),
        ),
        NodeScene(name=f"{prefix}-3", story="the agent falls silent", gpus=good, falls_silent=True),
    )
