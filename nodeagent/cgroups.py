"""Control groups: which pod a process belongs to, and what memory its group holds. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

# systemd writes `_` for `-`, static pods have an MD5 without dashes (node-agent.md §5: systemd,
# cgroupfs, CRI-O, kind and static pods checked).
_POD = re.compile(r"pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})")

# Version 1 writes "no limit" as the largest multiple of the page size.
_UNLIMITED = 1 << 60


@dataclass(frozen=True, slots=True)
class Membership:
    """Where a process stands: `path` is within version 1's memory hierarchy or version 2's only.

    From a private cgroup namespace the path begins with `/..`: match it, do not join it.
    """

    path: str
    version: int
    pod_uid: str | None


@dataclass(frozen=True, slots=True)
class GroupMemory:
    """What one group holds, in bytes. `limit` is None where there is none.

    `resident` is what only the group's end gives back: anonymous and shared memory, which is what
    a pinned L1 consists of. `oom_kills` counts since the group was made.
    """

    resident: int
    limit: int | None
    oom_kills: int = 0


def membership(text: str) -> Membership:
    """Parse /proc/<pid>/cgroup."""
    unified, memory = "", None
    for line in text.splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if "memory" in controllers.split(","):
            memory = path
        elif not controllers:
            unified = path
    match = _POD.search(text)
    return Membership(
        path=unified if memory is None else memory,
        version=2 if memory is None else 1,
        pod_uid=match.group(1).replace("_", "-") if match else None,
    )


def pod_uid(name: str) -> str | None:
    """Return the UID of the pod that a group of this name belongs to."""
    match = _POD.search(name)
    return match.group(1).replace("_", "-") if match else None


def key_values(text: str) -> Mapping[str, int]:
    """Parse a flat keyed file (memory.stat, memory.events); what is not `name number` is left."""
    values = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if value.strip().isdecimal():
            values[name] = int(value)
    return values


def limit(text: str) -> int | None:
    """Parse memory.max or memory.limit_in_bytes; None means unlimited.

    Raises:
        ValueError: the text is neither `max` nor a number.

    """
    value = text.strip()
    if value == "max":
        return None
    size = int(value)
    return None if size >= _UNLIMITED else size


def resident(stat: Mapping[str, int], *, version: int) -> int:
    """Return anonymous plus shared memory from a parsed memory.stat.

    Raises:
        KeyError: the file had no such lines (it was cut short).

    """
    if version == 2:
        return stat["anon"] + stat.get("shmem", 0)
    rss = stat["total_rss"] if "total_rss" in stat else stat["rss"]
    return rss + stat.get("total_shmem", stat.get("shmem", 0))
