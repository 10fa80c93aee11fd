"""The node's memory as /proc/meminfo shows it. Pure."""

from dataclasses import dataclass

from nodeagent.quantities import KIB


@dataclass(frozen=True, slots=True)
class NodeMemory:
    """The lines of /proc/meminfo that judgements use, in bytes (hugepages: a count)."""

    total: int
    free: int
    available: int
    inactive_file: int
    hugepages_free: int = 0
    hugepage_size: int = 0

    @property
    def usable(self) -> int:
        """What new pinned memory can take: the kernel's view or the kubelet's, if that is less.

        The kubelet evicts by capacity minus working set, and its working set leaves out only the
        inactive file pages: what is free to it is MemFree plus those (node-agent.md §6).
        """
        return min(self.available, self.free + self.inactive_file)


def parse(text: str) -> NodeMemory:
    """Return the memory of the node.

    Raises:
        ValueError: a line that the kernel always writes is missing.

    """
    values: dict[str, int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        number, _, unit = rest.strip().partition(" ")
        if number.isdecimal():
            values[name] = int(number) * (KIB if unit == "kB" else 1)
    try:
        return NodeMemory(
            total=values["MemTotal"],
            free=values["MemFree"],
            available=values["MemAvailable"],
            inactive_file=values["Inactive(file)"],
            hugepages_free=values.get("HugePages_Free", 0),
            hugepage_size=values.get("Hugepagesize", 0),
        )
    except KeyError as error:
        raise ValueError(f"/proc/meminfo has no line {error.args[0]}") from error
