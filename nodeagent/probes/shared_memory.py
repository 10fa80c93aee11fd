"""The check `shared-memory`: each engine's process must see the host's /dev/shm.

What counts is device and root of the topmost mount, and neither the IPC namespace (same namespace
and private /dev/shm, or the reverse, are both possible) nor the inode (tmpfs roots all have the
same small number): node-agent.md §5.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from nodeagent import mounts
from nodeagent.assignment import Assignment, Engine, IpcMode
from nodeagent.catalogue import host as reasons
from nodeagent.catalogue.model import HOST_UNREADABLE, PERMISSION_DENIED, Check
from nodeagent.errors import Absent, Denied, HostReadError
from nodeagent.findings import Finding, engine
from nodeagent.host import Host, Space
from nodeagent.mounts import Mount
from nodeagent.probes import Probe
from nodeagent.processes import Process, ProcessScanner


@dataclass(frozen=True, slots=True)
class EngineMounts:
    """What the processes of one engine see on /dev/shm.

    `seen` has one entry per different mount, by a process that sees it; `error` is set where a
    process was there and could not be read.
    """

    seen: Mapping[int, Mount | None]
    error: HostReadError | None = None


@dataclass(frozen=True, slots=True)
class SharedMemoryFacts:
    """The host's /dev/shm and what each engine (by UID) sees there."""

    reference: tuple[str, str] | HostReadError
    engines: Mapping[str, EngineMounts]
    space: Space | None = None


class SharedMemoryObserver:
    """Reads the mount tables of the engines' processes."""

    def __init__(self, host: Host, scanner: ProcessScanner) -> None:
        self._host = host
        self._scanner = scanner

    def __call__(self, assignment: Assignment) -> SharedMemoryFacts:
        """Read them once."""
        table = self._scanner.table()
        return SharedMemoryFacts(
            reference=self._reference(),
            engines={
                each.uid: self._mounts(table.container_of_server(pod.uid for pod in each.pods))
                for each in assignment.engines
            },
            space=self._space(),
        )

    def _reference(self) -> tuple[str, str] | HostReadError:
        try:
            return self._host.shared_memory_identity()
        except HostReadError as error:
            return error

    def _space(self) -> Space | None:
        try:
            return self._host.shared_memory_space()
        except HostReadError:
            return None

    def _mounts(self, processes: tuple[Process, ...]) -> EngineMounts:
        seen: dict[tuple[str, str] | None, tuple[int, Mount | None]] = {}
        refused: HostReadError | None = None
        for process in processes:
            try:
                table = mounts.parse(self._host.read_process(process.pid, "mountinfo"))
            except Absent:
                continue
            except HostReadError as error:
                refused = error
                continue
            if not table:
                # A process that is ending has an empty table.
                continue
            top = mounts.topmost(table, mounts.SHARED_MEMORY)
            seen.setdefault(None if top is None else top.identity, (process.pid, top))
        return EngineMounts(seen=dict(seen.values()), error=refused)


def judge(facts: SharedMemoryFacts, assignment: Assignment) -> tuple[Finding, ...]:
    """Answer for each engine of the node."""
    return tuple(_judge_engine(each, facts) for each in assignment.engines)


def _judge_engine(each: Engine, facts: SharedMemoryFacts) -> Finding:
    check, subject = reasons.SHARED_MEMORY, engine(each.uid)
    seen = facts.engines.get(each.uid, EngineMounts(seen={}))
    if each.ipc_mode is IpcMode.ISOLATED:
        return check.finding(
            reasons.ISOLATED_IPC, subject, f"{each.title} uses isolated IPC: nothing to share"
        )
    if not seen.seen and seen.error is None:
        return not_running(each, check)
    error = seen.error if not seen.seen else None
    if error is None and isinstance(facts.reference, HostReadError):
        error = facts.reference
    if isinstance(error, Denied):
        return check.finding(
            PERMISSION_DENIED,
            subject,
            f"The agent may not read the mounts: {error}",
            capability=error.capability,
        )
    if error is not None or isinstance(facts.reference, HostReadError):
        return check.finding(HOST_UNREADABLE, subject, f"The mounts cannot be compared: {error}")
    return _compare(each, seen.seen, reference=facts.reference)


def _compare(
    each: Engine, seen: Mapping[int, Mount | None], *, reference: tuple[str, str]
) -> Finding:
    check, subject = reasons.SHARED_MEMORY, engine(each.uid)
    evidence = {"mode": each.ipc_mode.value, "hostDevice": reference[0]}
    for pid, mount in seen.items():
        if mount is not None and mount.identity == reference:
            continue
        evidence |= {
            "pid": str(pid),
            "device": "none" if mount is None else mount.device,
            "root": "" if mount is None else mount.root,
            "filesystem": "" if mount is None else mount.filesystem,
        }
        return check.finding(
            reasons.PRIVATE,
            subject,
            f"{each.title} has a private /dev/shm: {_kind(mount, reference)}",
            evidence=evidence,
            mend=_mend(each, mount),
        )
    pid = next(iter(seen))
    return check.finding(
        reasons.SHARED,
        subject,
        f"{each.title} sees the host's /dev/shm (device {reference[0]})",
        evidence={**evidence, "pid": str(pid), "device": reference[0]},
    )


def _kind(mount: Mount | None, reference: tuple[str, str]) -> str:
    if mount is not None and mount.device == reference[0]:
        return f"a subdirectory of the host's, {mount.root}"
    device = "" if mount is None else f" (device {mount.device}, the host's is {reference[0]})"
    return mounts.described(mount) + device


def _mend(each: Engine, mount: Mount | None) -> str:
    brought_by_runtime = mount is None or mount.source == "shm"
    if brought_by_runtime:
        return (
            f"Restart the engine's pod so that it gets {each.ipc_mode.value} as its spec says: "
            + _delete_command(each)
        )
    if each.ipc_mode is IpcMode.HOST_PATH:
        return "Let the volume on /dev/shm be the hostPath /dev/shm: remove the other one."
    return "Remove the volume on /dev/shm: with hostIPC: true the host's is there by itself."


def _delete_command(each: Engine) -> str:
    names = " ".join(pod.name for pod in each.pods if pod.name) or "<pod>"
    return f"kubectl -n {each.namespace or '<namespace>'} delete pod {names}"


def not_running(each: Engine, check: Check) -> Finding:
    """Return the finding for an engine of which no process is found."""
    if not each.started:
        return check.finding(
            reasons.ENGINE_NOT_STARTED,
            engine(each.uid),
            f"{each.title} does not run on this node yet",
        )
    return check.finding(
        reasons.ENGINE_PROCESS_NOT_FOUND,
        engine(each.uid),
        f"{each.title} runs here, and no process of its pod is in the node's /proc",
    )


def shared_memory_probe(host: Host, scanner: ProcessScanner, *, deadline: float) -> Probe:
    """Return the probe."""
    return Probe(
        name="shared-memory",
        checks=(reasons.SHARED_MEMORY,),
        deadline=deadline,
        observe=SharedMemoryObserver(host, scanner),
        judge=judge,
    )
