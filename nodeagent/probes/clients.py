"""Clients: the pods of this node that use some cache server, as their processes show it.

Recognised by a --kv-transfer-config on any process of the pod (vLLM's workers rename themselves,
so the command line of one is enough and may be the only one).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from nodeagent.assignment import Assignment
from nodeagent.errors import HostReadError
from nodeagent.findings import Finding
from nodeagent.host import Host
from nodeagent.kv_transfer import Target
from nodeagent.probes import Probe
from nodeagent.processes import Process, ProcessScanner

# Of proc(5)'s fields after the command's name: 22 is starttime, in clock ticks since boot. The
# kernel shows them in USER_HZ, which is 100 on every architecture that has NVIDIA GPUs.
_START_TIME = 22 - 3
_TICKS = 100


@dataclass(frozen=True, slots=True)
class Client:
    """A pod that uses a cache server. `started_at` is seconds since the epoch."""

    pod_uid: str
    target: Target
    pid: int
    started_at: float | None = None


@dataclass(frozen=True, slots=True)
class ClientFacts:
    """All clients of the node, by pod UID."""

    clients: tuple[Client, ...]


class ClientObserver:
    """Finds the clients in the process table."""

    def __init__(self, host: Host, scanner: ProcessScanner) -> None:
        self._host = host
        self._scanner = scanner

    def __call__(self, assignment: Assignment) -> ClientFacts:
        """Look once."""
        found = targets(self._scanner.table().pods)
        return ClientFacts(
            tuple(
                Client(
                    pod_uid=uid,
                    target=target,
                    pid=process.pid,
                    started_at=self._started_at(process.pid),
                )
                for uid, (process, target) in sorted(found.items())
            )
        )

    def _started_at(self, pid: int) -> float | None:
        booted = self._host.boot_time()
        if booted is None:
            return None
        try:
            text = self._host.read_process(pid, "stat")
            # The name may hold spaces and parentheses: count from the last one.
            return booted + int(text.rpartition(")")[2].split()[_START_TIME]) / _TICKS
        except (HostReadError, ValueError, IndexError):
            return None


def targets(pods: Mapping[str, tuple[Process, ...]]) -> dict[str, tuple[Process, Target]]:
    """Return, by pod UID, the first process that names a cache server, and which one."""
    found: dict[str, tuple[Process, Target]] = {}
    for uid, processes in pods.items():
        for process in sorted(processes, key=lambda each: each.pid):
            if process.target is not None:
                found.setdefault(uid, (process, process.target))
    return found


def judge(facts: ClientFacts, assignment: Assignment) -> tuple[Finding, ...]:
    """Report clients only; the coordinator matches them against all engines."""
    return ()


def client_probe(host: Host, scanner: ProcessScanner, *, deadline: float) -> Probe:
    """Return the probe."""
    return Probe(
        name="clients",
        checks=(),
        deadline=deadline,
        observe=ClientObserver(host, scanner),
        judge=judge,
    )
