"""What memory an engine's server holds, read from its control group."""

from collections.abc import Iterable
from pathlib import Path

from nodeagent import cgroups
from nodeagent.cgroups import GroupMemory, Membership
from nodeagent.errors import Absent, HostReadError, Unreadable
from nodeagent.host import Host
from nodeagent.processes import Process
from nodeagent.quantities import KIB


def server_memory(host: Host, processes: Iterable[Process]) -> GroupMemory | None:
    """Return the memory of the server's container; None where there is no such process.

    Where several containers are possible, the one that holds most: a gateway beside the server
    holds some MiB. Where no group is readable, the resident sizes of the processes, without limit.

    Raises:
        HostReadError: the processes are there and nothing says what they hold.

    """
    by_group: dict[str, list[Process]] = {}
    for process in processes:
        by_group.setdefault(process.group.path, []).append(process)
    held = []
    for members in by_group.values():
        try:
            held.append(_group_memory(host, members[0].group))
        except Absent:
            resident = _resident(host, members)
            if resident is not None:
                held.append(GroupMemory(resident=resident, limit=None))
    return max(held, key=lambda group: group.resident, default=None)


def _group_memory(host: Host, group: Membership) -> GroupMemory:
    directory = _directory(host, group)
    stat = cgroups.key_values(host.read(directory / "memory.stat"))
    try:
        resident = cgroups.resident(stat, version=group.version)
        limits = [_limit(host, each, group.version) for each in (directory, directory.parent)]
    except (KeyError, ValueError) as error:
        raise Unreadable(f"/{directory}/memory.stat or its limit makes no sense") from error
    bounded = [limit for limit in limits if limit is not None]
    return GroupMemory(
        resident=resident,
        limit=min(bounded, default=None),
        oom_kills=_oom_kills(host, directory, group.version),
    )


def _directory(host: Host, group: Membership) -> Path:
    """Return the group's directory; from a private cgroup namespace it has to be searched."""
    if not group.path.startswith("/.."):
        return host.group_path(group.path, version=group.version)
    pod = host.find_group(
        lambda name: cgroups.pod_uid(name) == group.pod_uid, version=group.version
    )
    if pod is None:
        raise Absent(f"no control group of pod {group.pod_uid} below /sys/fs/cgroup")
    container = group.path.rpartition("/")[2]
    return host.group_path(f"{pod}/{container}", version=group.version)


def _limit(host: Host, directory: Path, version: int) -> int | None:
    name = "memory.max" if version == 2 else "memory.limit_in_bytes"
    try:
        return cgroups.limit(host.read(directory / name))
    except Absent:
        # The root group has no limit file.
        return None


def _oom_kills(host: Host, directory: Path, version: int) -> int:
    name = "memory.events" if version == 2 else "memory.oom_control"
    try:
        return cgroups.key_values(host.read(directory / name)).get("oom_kill", 0)
    except HostReadError:
        return 0


def _resident(host: Host, processes: Iterable[Process]) -> int | None:
    """Return RssAnon + RssShmem of the processes; None when all of them are gone."""
    total = None
    for process in processes:
        try:
            status = host.read_process(process.pid, "status")
        except Absent:
            continue
        total = (total or 0) + sum(
            int(line.split()[1]) * KIB
            for line in status.splitlines()
            if line.startswith(("RssAnon:", "RssShmem:")) and line.split()[1:2][0].isdecimal()
        )
    return total
