"""The check `l1-memory`: memory for all of L1, of all engines of the node together."""

from collections.abc import Mapping
from dataclasses import dataclass

from nodeagent import memory, mounts
from nodeagent.assignment import Assignment, Engine
from nodeagent.catalogue import host as reasons
from nodeagent.catalogue.model import HOST_UNREADABLE, PERMISSION_DENIED, Reason
from nodeagent.cgroups import GroupMemory
from nodeagent.engine_memory import server_memory
from nodeagent.errors import Denied, HostReadError, Unreadable
from nodeagent.findings import Finding, Outcome, engine
from nodeagent.headroom import Headroom, demand, headroom, largest_fit
from nodeagent.host import Host, Space
from nodeagent.memory import NodeMemory
from nodeagent.probes import Probe
from nodeagent.probes.shared_memory import not_running
from nodeagent.processes import ProcessScanner
from nodeagent.quantities import GIB, human


@dataclass(frozen=True, slots=True)
class MemoryFacts:
    """The node's memory and what the server of each engine (by UID) holds.

    A group is None before the server runs.
    """

    node: NodeMemory | HostReadError
    groups: Mapping[str, GroupMemory | HostReadError | None]
    shared_memory: Space | None = None


class MemoryObserver:
    """Reads /proc/meminfo and the engines' control groups."""

    def __init__(self, host: Host, scanner: ProcessScanner) -> None:
        self._host = host
        self._scanner = scanner

    def __call__(self, assignment: Assignment) -> MemoryFacts:
        """Read them once."""
        return MemoryFacts(
            node=self._node(),
            groups={each.uid: self._group(each) for each in assignment.engines},
            shared_memory=self._shared_memory(),
        )

    def _node(self) -> NodeMemory | HostReadError:
        try:
            return memory.parse(self._host.read("proc/meminfo"))
        except HostReadError as error:
            return error
        except ValueError as error:
            return Unreadable(str(error))

    def _group(self, each: Engine) -> GroupMemory | HostReadError | None:
        try:
            table = self._scanner.table()
            return server_memory(
                self._host, table.container_of_server(pod.uid for pod in each.pods)
            )
        except HostReadError as error:
            return error

    def _shared_memory(self) -> Space | None:
        try:
            return self._host.shared_memory_space()
        except HostReadError:
            return None


def judge(facts: MemoryFacts, assignment: Assignment) -> tuple[Finding, ...]:
    """Answer for each engine of the node."""
    if isinstance(facts.node, HostReadError):
        error = facts.node
        return tuple(_unreadable(each, error) for each in assignment.engines)
    rooms = headrooms(facts, assignment)
    findings = []
    for each in assignment.engines:
        group = facts.groups.get(each.uid)
        if isinstance(group, HostReadError):
            findings.append(_unreadable(each, group))
        elif each.uid not in rooms:
            findings.append(not_running(each, reasons.L1_MEMORY))
        else:
            room = rooms[each.uid]
            findings.append(_judge_engine(each, room, node=facts.node, assignment=assignment))
    return tuple(findings)


def headrooms(facts: MemoryFacts, assignment: Assignment) -> dict[str, Headroom]:
    """Return the headroom of each engine that can be judged, by UID."""
    if isinstance(facts.node, HostReadError):
        return {}
    groups = {
        uid: group for uid, group in facts.groups.items() if not isinstance(group, HostReadError)
    }
    # Running and not found, an engine may hold all or nothing of its memory: not judged.
    judged = [
        each
        for each in assignment.engines
        if each.uid in groups and (groups[each.uid] is not None or not each.started)
    ]
    demands = {each.uid: demand(each, groups[each.uid]) for each in judged}
    to_come = sum(each.to_come for each in demands.values())
    space = facts.shared_memory
    return {
        each.uid: headroom(
            each,
            own=demands[each.uid],
            others_to_come=to_come - demands[each.uid].to_come,
            node=facts.node,
            group=groups[each.uid],
            thresholds=assignment.thresholds,
            shared_memory_free=None if space is None else space.free,
        )
        for each in judged
    }


_SHORT = {
    "node": reasons.SHORT,
    "limit": reasons.LIMIT_TOO_LOW,
    "sharedMemory": reasons.SHARED_MEMORY_TOO_SMALL,
    "hugepages": reasons.HUGEPAGES_SHORT,
}


def _judge_engine(
    each: Engine, room: Headroom, *, node: NodeMemory, assignment: Assignment
) -> Finding:
    margin = int(node.total * assignment.thresholds.memory_warn_ratio)
    fits = largest_fit(each, room)
    reason, message = _verdict(each, room, margin=margin)
    if reason is reasons.SHORT and fits == 0:
        reason = reasons.NO_ROOM
    elif reason.outcome is Outcome.FAIL:
        message += f"; largest l1.sizeGB that fits: {fits}"
    wanted = margin if reason is reasons.TIGHT else 0
    return reasons.L1_MEMORY.finding(
        reason,
        engine(each.uid),
        message,
        evidence=_evidence(each, room, node=node, fits=fits),
        fits=fits,
        lower=-(-(wanted - room.left) // GIB),
        need=f"{-(-room.demand.need // GIB)}Gi",
    )


def _verdict(each: Engine, room: Headroom, *, margin: int) -> tuple[Reason, str]:
    size = f"{each.title}: L1 of {human(each.l1_size)}"
    left = room.left
    if left < 0 and room.binding == "limit":
        return reasons.LIMIT_TOO_LOW, (
            f"{size} needs {human(room.demand.need)} with the server, "
            f"its memory limit is {human(room.limit or 0)}"
        )
    if left < 0 and room.binding == "node":
        others = f" (other engines: {human(room.others_to_come)})" if room.others_to_come else ""
        return reasons.SHORT, (
            f"{size} still needs {human(room.demand.to_come)}{others}, "
            f"the node can give {human(max(0, room.usable - room.reserve))}"
        )
    if left < 0:
        where = mounts.SHARED_MEMORY if room.binding == "sharedMemory" else "the free huge pages"
        return _SHORT[room.binding], f"{size} does not fit into {where}: {human(-left)} short"
    if room.terms["node"] < margin:
        return reasons.TIGHT, f"{size} fits and leaves only {human(room.terms['node'])} on the node"
    return reasons.FITS, f"{size} fits: {human(left)} to spare ({room.binding})"


def _evidence(each: Engine, room: Headroom, *, node: NodeMemory, fits: int) -> dict[str, str]:
    evidence = {
        "l1Size": each.l1_size,
        "need": room.demand.need,
        "resident": room.demand.resident,
        "toCome": room.demand.to_come,
        "othersToCome": room.others_to_come,
        "nodeTotal": node.total,
        "nodeAvailable": node.available,
        "nodeFree": node.free,
        "nodeInactiveFile": node.inactive_file,
        "nodeUsable": room.usable,
        "reserve": room.reserve,
        "limit": room.limit if room.limit is not None else "none",
        "largestSizeGB": fits,
        "binding": room.binding,
    }
    evidence |= {f"headroom.{name}": left for name, left in room.terms.items()}
    return {name: str(value) for name, value in evidence.items()}


def _unreadable(each: Engine, error: HostReadError) -> Finding:
    check, subject = reasons.L1_MEMORY, engine(each.uid)
    if isinstance(error, Denied):
        return check.finding(
            PERMISSION_DENIED,
            subject,
            f"The agent may not read the memory: {error}",
            capability=error.capability,
        )
    return check.finding(HOST_UNREADABLE, subject, f"The memory cannot be judged: {error}")


def l1_memory_probe(host: Host, scanner: ProcessScanner, *, deadline: float) -> Probe:
    """Return the probe."""
    return Probe(
        name="l1-memory",
        checks=(reasons.L1_MEMORY,),
        deadline=deadline,
        observe=MemoryObserver(host, scanner),
        judge=judge,
    )
