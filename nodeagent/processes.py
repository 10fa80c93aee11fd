"""The processes of the node's pods: found through /proc, grouped by pod UID.

Reads no more of another process than it must: its control group, and the command line of those
that belong to a pod. Of a command line only the answers below are kept, never the text, which may
hold secrets.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nodeagent import cgroups, kv_transfer
from nodeagent.errors import Absent, HostReadError
from nodeagent.host import Host

# The placeholder process of a pod sandbox; its mounts are not those of the pod's containers.
_PLACEHOLDERS = frozenset({"pause", "pod"})
# The read-only gateway that the operator puts beside the server, which needs no /dev/shm.
_GATEWAY = "gateway"


@dataclass(frozen=True, slots=True)
class Process:
    """A process of a pod. `group` is its control group, one per container."""

    pid: int
    pod_uid: str
    group: cgroups.Membership
    is_server: bool = False
    is_beside: bool = False
    target: kv_transfer.Target | None = None


@dataclass(frozen=True, slots=True)
class ProcessTable:
    """All processes of pods, by pod UID. `refused` counts those whose files were not readable."""

    pods: Mapping[str, tuple[Process, ...]] = field(default_factory=dict)
    scanned: int = 0
    refused: int = 0

    def container_of_server(self, pod_uids: Iterable[str]) -> tuple[Process, ...]:
        """Return the processes of the containers that run a cache server.

        Recognised by the command line; where none says so (an image with an entry point of its
        own), every container of the pod but the sandbox's placeholder and the gateway.
        """
        found = [process for uid in pod_uids for process in self.pods.get(uid, ())]
        groups = {process.group.path for process in found if process.is_server}
        if groups:
            return tuple(process for process in found if process.group.path in groups)
        return tuple(process for process in found if not process.is_beside)


def scan(host: Host) -> ProcessTable:
    """Read the process table once.

    Raises:
        HostReadError: /proc itself cannot be listed.

    """
    pods: dict[str, list[Process]] = {}
    scanned = refused = 0
    for pid in host.process_ids():
        scanned += 1
        try:
            group = cgroups.membership(host.read_process(pid, "cgroup"))
            if group.pod_uid is None:
                continue
            process = _process(pid, group, host.read_process(pid, "cmdline"))
        except Absent:
            continue
        except HostReadError:
            refused += 1
            continue
        pods.setdefault(process.pod_uid, []).append(process)
    return ProcessTable(
        pods={uid: tuple(processes) for uid, processes in pods.items()},
        scanned=scanned,
        refused=refused,
    )


class ProcessScanner:
    """One scan for all probes of a round, however many threads ask."""

    def __init__(self, host: Host, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._host = host
        self._clock = clock
        self._lock = threading.Lock()
        self._table = ProcessTable()
        self._taken: float | None = None

    def table(self, *, max_age: float = 1.0) -> ProcessTable:
        """Return a table at most `max_age` seconds old; raises HostReadError."""
        with self._lock:
            if self._taken is None or self._clock() - self._taken > max_age:
                self._table = scan(self._host)
                self._taken = self._clock()
            return self._table


def _process(pid: int, group: cgroups.Membership, command_line: str) -> Process:
    arguments = command_line.rstrip("\0").split("\0")
    configuration = kv_transfer.argument(arguments)
    return Process(
        pid=pid,
        pod_uid=group.pod_uid or "",
        group=group,
        is_server=_is_server(arguments),
        is_beside=_is_beside(arguments),
        target=None if configuration is None else kv_transfer.target(configuration),
    )


def _is_server(arguments: Sequence[str]) -> bool:
    """Recognise `lmcache server …`, with or without an interpreter, and the module's own name."""
    for position, text in enumerate(arguments[:4]):
        if text.startswith("lmcache.v1.multiprocess."):
            return True
        if _base_name(text) == "lmcache":
            return arguments[position + 1 : position + 2] == ["server"]
    return False


def _is_beside(arguments: Sequence[str]) -> bool:
    """Recognise what stands in an engine's pod beside the server."""
    if _base_name(arguments[0]) in _PLACEHOLDERS:
        return True
    return any(_GATEWAY in _base_name(text) for text in arguments[:4])


def _base_name(path: str) -> str:
    return path.rpartition("/")[2]
