"""A host root in a directory: the tree that the node agent reads with `--host-root`.

The contract is nodeagent/host.py's. Used by the demo (one tree per simulated node) and by the
agent's tests. Files are replaced by rename, so that an agent that reads meanwhile sees the old
content or the new one.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

GIB = 1 << 30
MIB = 1 << 20

HOST_DEVICE = "0:27"
BOOT_TIME = 1_700_000_000

_CONTAINER = "cri-containerd-{name}.scope"


@dataclass(frozen=True, slots=True)
class Memory:
    """The lines of /proc/meminfo that the agent reads, in bytes."""

    total: int = 512 * GIB
    available: int = 480 * GIB
    free: int = 400 * GIB
    inactive_file: int = 80 * GIB
    hugepages_free: int = 0

    def text(self) -> str:
        """Return /proc/meminfo."""
        lines = {
            "MemTotal": self.total,
            "MemFree": self.free,
            "MemAvailable": self.available,
            "Inactive(file)": self.inactive_file,
        }
        text = "".join(f"{name}: {size >> 10:15} kB\n" for name, size in lines.items())
        return f"{text}HugePages_Free: {self.hugepages_free:7}\nHugepagesize:       2048 kB\n"


@dataclass(frozen=True, slots=True)
class ShmMount:
    """What a process sees on /dev/shm; the default is the host's own."""

    device: str = HOST_DEVICE
    root: str = "/"
    filesystem: str = "tmpfs"
    source: str = "tmpfs"
    options: str = "rw"

    def text(self, identifier: int = 900, parent: int = 800) -> str:
        """Return the line of /proc/<pid>/mountinfo."""
        return (
            f"{identifier} {parent} {self.device} {self.root} /dev/shm rw,nosuid,nodev "
            f"shared:3 - {self.filesystem} {self.source} {self.options}\n"
        )


SHARED = ShmMount()
RUNTIME_DEFAULT = ShmMount(device="0:47", source="shm", options="rw,size=65536k")
EMPTY_DIR = ShmMount(device="0:44", options="rw,size=8388608k")


@dataclass(frozen=True, slots=True)
class HostProcess:
    """A process of a pod; memory is in bytes, `limit` None for unlimited."""

    pid: int
    pod_uid: str
    arguments: tuple[str, ...] = ("lmcache", "server", "--port", "5555")
    container: str = "server"
    shm: ShmMount | None = SHARED
    resident: int = 1 * GIB
    limit: int | None = None
    started_ticks: int = 4242

    @property
    def group(self) -> str:
        """The path of the process's control group (systemd's names)."""
        pod = self.pod_uid.replace("-", "_")
        container = _CONTAINER.format(name=f"{self.container}{self.pod_uid[:8]}")
        return f"/kubepods.slice/kubepods-pod{pod}.slice/{container}"


def vllm(pid: int, pod_uid: str, *, host: str, port: int, shm: ShmMount = SHARED) -> HostProcess:
    """Return a vLLM process that uses the cache server at host:port."""
    configuration = {
        "kv_connector": "LMCacheMPConnector",
        "kv_role": "kv_both",
        "kv_connector_extra_config": {
            "lmcache.mp.host": f"tcp://{host}",
            "lmcache.mp.port": str(port),
        },
    }
    arguments = ("vllm", "serve", "model", "--kv-transfer-config", json.dumps(configuration))
    return HostProcess(pid, pod_uid, arguments=arguments, container="vllm", shm=shm)


@dataclass(frozen=True, slots=True)
class HostRoot:
    """A node's facts; `cgroup_version` is 1 or 2, `pci_gpus` the number of NVIDIA GPUs."""

    memory: Memory = field(default_factory=Memory)
    processes: tuple[HostProcess, ...] = ()
    pci_gpus: int = 8
    pci_driver: str = "nvidia"
    boot_id: str = "5e2d9a7c-0000-4000-8000-000000000001"
    cgroup_version: int = 2

    def write(self, root: Path) -> Path:
        """Bring the tree under `root` to this state, processes that are gone included."""
        _write(root / "proc/meminfo", self.memory.text())
        _write(root / "proc/stat", f"cpu 1 2 3\nbtime {BOOT_TIME}\n")
        _write(root / "proc/sys/kernel/random/boot_id", f"{self.boot_id}\n")
        _write(root / "proc/1/cgroup", "0::/init.scope\n")
        _write(root / "proc/1/cmdline", "/sbin/init\0")
        _write(root / "proc/1/mountinfo", ShmMount().text(identifier=30, parent=25))
        (root / "dev/shm").mkdir(parents=True, exist_ok=True)
        self._write_pci(root / "sys/bus/pci/devices")
        kept = {"1", *(str(process.pid) for process in self.processes)}
        for directory in (root / "proc").iterdir():
            if directory.name.isdecimal() and directory.name not in kept:
                shutil.rmtree(directory)
        for process in self.processes:
            self._write_process(root, process)
        return root

    def _write_pci(self, devices: Path) -> None:
        shutil.rmtree(devices, ignore_errors=True)
        devices.mkdir(parents=True)
        for index in range(self.pci_gpus):
            device = devices / f"0000:{index + 1:02x}:00.0"
            _write(device / "vendor", "0x10de\n")
            _write(device / "class", "0x030200\n")
            if self.pci_driver:
                (device / "driver").symlink_to(f"../../../bus/pci/drivers/{self.pci_driver}")

    def _write_process(self, root: Path, process: HostProcess) -> None:
        proc = root / "proc" / str(process.pid)
        controllers = "0::" if self.cgroup_version == 2 else "4:memory:"
        _write(proc / "cgroup", f"{controllers}{process.group}\n")
        _write(proc / "cmdline", "".join(f"{text}\0" for text in process.arguments))
        mounts = "800 799 0:50 / /dev rw - tmpfs tmpfs rw\n"
        _write(proc / "mountinfo", mounts + (process.shm.text() if process.shm else ""))
        _write(proc / "status", f"Name:\tserver\nNSpid:\t{process.pid}\t1\nUid:\t0\t0\t0\t0\n")
        fields = ["S", "1", *["0"] * 17, str(process.started_ticks), "0"]
        _write(proc / "stat", f"{process.pid} (server) {' '.join(fields)}\n")
        group = root / "sys/fs/cgroup"
        if self.cgroup_version == 2:
            group /= process.group.lstrip("/")
            _write(group / "memory.max", f"{process.limit or 'max'}\n")
            _write(group / "memory.stat", f"anon {process.resident}\nfile 4096\nshmem 0\n")
            _write(group / "memory.events", "oom 0\noom_kill 0\n")
        else:
            group = group / "memory" / process.group.lstrip("/")
            limit = process.limit or 9223372036854771712
            _write(group / "memory.limit_in_bytes", f"{limit}\n")
            _write(group / "memory.stat", f"total_rss {process.resident}\ntotal_shmem 0\n")
            _write(group / "memory.oom_control", "under_oom 0\noom_kill 0\n")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.fresh")
    fresh.write_text(text)
    os.replace(fresh, path)
