"""The host, read under one root; the only module that reads /proc, /sys and /dev/shm.

The contract of a host root (`--host-root`, `/` by default and in the DaemonSet, a plain
directory in the demo and in tests). Every fact about the host comes from below it:

    proc/meminfo, proc/stat                    the node's memory, its boot time
    proc/sys/kernel/random/boot_id             what sticky findings are bound to
    proc/<pid>/{cgroup,cmdline,mountinfo,status,stat}
                                               the host's processes (the host's PID namespace)
    dev/shm                                    the host's /dev/shm
    sys/fs/cgroup                              the host's control groups, version 1, 2 or hybrid
    sys/bus/pci/devices/<address>/{vendor,class,driver}

What the host's /dev/shm is: where `dev/shm` is a mount point (always so on a node, where the
DaemonSet mounts it by hostPath), its own device. Where it is a plain directory, the topmost mount
on /dev/shm in proc/1/mountinfo. /proc/1 is second choice because reading it can be refused even to
root (node-agent.md §5).

Reads are bounded, and text that is not UTF-8 is kept with replacement characters: nothing that a
process of the node can write stops the agent.
"""

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nodeagent import mounts
from nodeagent.errors import Absent, Denied, HostReadError, Unreadable

# A mount table of a busy node is some hundred kB, a command line at most 2 MiB.
_LARGEST_READ = 4 << 20

_GONE = frozenset({errno.ENOENT, errno.ESRCH, errno.ENOTDIR, errno.ENODEV})
_REFUSED = frozenset({errno.EACCES, errno.EPERM})

_NVIDIA = "0x10de"
_DISPLAY_CLASS = "0x03"

# kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/…-pod<uid>.slice (kind)
_DEEPEST_POD_GROUP = 4


@dataclass(frozen=True, slots=True)
class PciGpu:
    """A display device of NVIDIA on the PCI bus; `driver` is "" where none is bound."""

    address: str
    driver: str


@dataclass(frozen=True, slots=True)
class Space:
    """Size and free bytes of a filesystem."""

    size: int
    free: int


@dataclass(frozen=True, slots=True)
class Host:
    """The host under `root`."""

    root: Path = Path("/")

    def boot_id(self) -> str:
        """Return the id of this boot, or "" where it cannot be read."""
        try:
            return self.read("proc/sys/kernel/random/boot_id").strip()
        except HostReadError:
            return ""

    def boot_time(self) -> int | None:
        """Return when the host booted, in seconds since the epoch."""
        try:
            for line in self.read("proc/stat").splitlines():
                name, _, value = line.partition(" ")
                if name == "btime":
                    return int(value)
        except (HostReadError, ValueError):
            return None
        return None

    def process_ids(self) -> Iterator[int]:
        """Yield the ids of all processes.

        Raises:
            HostReadError: the process table cannot be read at all.

        """
        try:
            with os.scandir(self.root / "proc") as entries:
                for entry in entries:
                    if entry.name.isdecimal():
                        yield int(entry.name)
        except OSError as error:
            raise _translated(error, "proc") from error

    def read_process(self, pid: int, name: str) -> str:
        """Return a file of /proc/<pid>; raises HostReadError."""
        return self.read(f"proc/{pid}/{name}")

    def shared_memory_identity(self) -> tuple[str, str]:
        """Return device and root of the host's /dev/shm.

        Raises:
            HostReadError: neither the directory nor process 1 shows it.

        """
        path = self.root / "dev" / "shm"
        try:
            device, above = path.stat().st_dev, path.parent.stat().st_dev
        except OSError as error:
            raise _translated(error, "dev/shm") from error
        if device != above:
            return (f"{os.major(device)}:{os.minor(device)}", "/")
        table = mounts.parse(self.read_process(1, "mountinfo"))
        mount = mounts.topmost(table, mounts.SHARED_MEMORY)
        if mount is None:
            raise Absent("nothing is mounted on /dev/shm of the host")
        return mount.identity

    def shared_memory_space(self) -> Space:
        """Return size and free bytes of the host's /dev/shm; raises HostReadError."""
        try:
            space = os.statvfs(self.root / "dev" / "shm")
        except OSError as error:
            raise _translated(error, "dev/shm") from error
        return Space(size=space.f_blocks * space.f_frsize, free=space.f_bavail * space.f_frsize)

    def pci_gpus(self) -> tuple[PciGpu, ...]:
        """Return NVIDIA's display devices in the order of their addresses.

        Raises:
            HostReadError: the PCI bus cannot be listed.

        """
        base = self.root / "sys" / "bus" / "pci" / "devices"
        try:
            addresses = sorted(os.listdir(base))
        except OSError as error:
            raise _translated(error, "sys/bus/pci/devices") from error
        return tuple(
            PciGpu(address, self._link_name(base / address / "driver"))
            for address in addresses
            if self._is_gpu(f"sys/bus/pci/devices/{address}")
        )

    def group_path(self, path: str, *, version: int) -> Path:
        """Return a control group's directory below the root, by its path in /proc/<pid>/cgroup."""
        base = Path("sys/fs/cgroup")
        return (base / "memory" if version == 1 else base) / path.lstrip("/")

    def find_group(self, matches: Callable[[str], bool], *, version: int) -> str | None:
        """Return the path of the first group whose name matches, searched from the top.

        For agents in a private cgroup namespace, which see foreign paths as `/../..` only.
        """
        base = self.root / self.group_path("/", version=version)
        level = [base]
        for _ in range(_DEEPEST_POD_GROUP):
            below = [child for directory in level for child in _directories(directory)]
            for child in below:
                if matches(child.name):
                    return f"/{child.relative_to(base)}"
            level = [child for child in below if child.name.startswith("kube")]
        return None

    def children(self, path: str) -> tuple[str, ...]:
        """Return the names of the directories below a directory; empty where it is not there."""
        return tuple(sorted(child.name for child in _directories(self.root / path)))

    def read(self, path: str | Path) -> str:
        """Return a file below the root as text.

        Raises:
            HostReadError: it is absent, refused or unreadable.

        """
        try:
            descriptor = os.open(self.root / path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            raise _translated(error, str(path)) from error
        try:
            pieces, room = [], _LARGEST_READ
            while room > 0 and (piece := os.read(descriptor, min(room, 1 << 16))):
                pieces.append(piece)
                room -= len(piece)
            return b"".join(pieces).decode(errors="replace")
        except OSError as error:
            raise _translated(error, str(path)) from error
        finally:
            os.close(descriptor)

    def _is_gpu(self, device: str) -> bool:
        try:
            return self.read(f"{device}/vendor").strip() == _NVIDIA and self.read(
                f"{device}/class"
            ).startswith(_DISPLAY_CLASS)
        except HostReadError:
            return False

    @staticmethod
    def _link_name(path: Path) -> str:
        try:
            return path.readlink().name
        except OSError:
            return ""


def _directories(path: Path) -> tuple[Path, ...]:
    try:
        with os.scandir(path) as entries:
            return tuple(
                path / entry.name for entry in entries if entry.is_dir(follow_symlinks=False)
            )
    except OSError:
        return ()


def _translated(error: OSError, path: str) -> HostReadError:
    sentence = f"/{path}: {error.strerror or error}"
    if error.errno in _GONE:
        return Absent(sentence)
    if error.errno in _REFUSED:
        # Another process's files are guarded by ptrace's rules, everything else by file modes.
        is_process = path.startswith("proc/") and path[5:6].isdecimal()
        capability = "CAP_SYS_PTRACE" if is_process else "CAP_DAC_READ_SEARCH"
        return Denied(sentence, capability=capability)
    return Unreadable(sentence)
