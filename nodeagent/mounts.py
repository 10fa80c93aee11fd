"""Mount tables as the kernel shows them in /proc/<pid>/mountinfo (proc(5)). Pure."""

import re
from dataclasses import dataclass

SHARED_MEMORY = "/dev/shm"  # noqa: S108 (the subject of the whole check)

_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of a mount table.

    `device` is `major:minor` of the filesystem (st_dev) and `root` the directory of it that is
    mounted; together they say what is really there, whatever the namespace.
    """

    identifier: int
    parent: int
    device: str
    root: str
    mount_point: str
    filesystem: str
    source: str
    options: str

    @property
    def identity(self) -> tuple[str, str]:
        """What two mounts of the same directory have in common."""
        return (self.device, self.root)


def parse(text: str) -> tuple[Mount, ...]:
    """Return the mounts of a table; lines that are cut short or foreign are left out."""
    mounts = []
    for line in text.splitlines():
        head, separator, tail = line.partition(" - ")
        fields, rest = head.split(" "), tail.split(" ")
        if not separator or len(fields) < 6 or len(rest) < 2:
            continue
        if not (fields[0].isdecimal() and fields[1].isdecimal()):
            continue
        mounts.append(
            Mount(
                identifier=int(fields[0]),
                parent=int(fields[1]),
                device=fields[2],
                root=_unescape(fields[3]),
                mount_point=_unescape(fields[4]),
                filesystem=rest[0],
                source=_unescape(rest[1]),
                options=rest[2] if len(rest) > 2 else "",
            )
        )
    return tuple(mounts)


def topmost(mounts: tuple[Mount, ...], mount_point: str) -> Mount | None:
    """Return the mount that a process sees at `mount_point`, or None.

    Mounts stack, and the order of the file is not the order of stacking: the one on top is the one
    that is no other's parent there.
    """
    there = [mount for mount in mounts if mount.mount_point == mount_point]
    parents = {mount.parent for mount in there}
    top = [mount for mount in there if mount.identifier not in parents]
    return top[-1] if top else None


def described(mount: Mount | None) -> str:
    """Say in a few words what kind of mount over /dev/shm this is."""
    if mount is None:
        return "no mount at all"
    if "kubernetes.io~empty-dir" in mount.root:
        return f"an emptyDir on disk ({mount.filesystem})"
    if mount.filesystem != "tmpfs":
        return f"a {mount.filesystem} volume"
    if mount.source == "shm":
        size = _option(mount.options, "size")
        return "the container runtime's own /dev/shm" + (f" ({size})" if size else "")
    size = _option(mount.options, "size")
    return "a tmpfs of its own (an emptyDir with medium Memory?)" + (f", {size}" if size else "")


def _option(options: str, name: str) -> str:
    for option in options.split(","):
        key, _, value = option.partition("=")
        if key == name:
            return value
    return ""


def _unescape(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), text)
