"""The host's /dev/shm in the pod of a cache server.

CUDA IPC between the server and vLLM leaves small files in /dev/shm that both sides must see. So no
emptyDir is ever put there, not even one with medium Memory: it would be a tmpfs of the pod's own,
and vLLM's handles would be invisible in it (cudaErrorMapBufferObjectFailed).

* hostIPC: the runtime bind-mounts the host's /dev/shm together with the host's IPC namespace.
* hostPath: the pod has an IPC namespace of its own, and the host's /dev/shm is mounted here.
* isolated: the handles need no file at all.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from coordinator.api.effective import ipc_mode
from coordinator.api.rules import SHM, SHM_VOLUME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordinator.api.spec import EngineSpec


def shm_volumes(spec: EngineSpec) -> list[dict[str, Any]]:
    """Return the volume with the host's /dev/shm where something mounts it and nobody gave it."""
    if ipc_mode(spec) != "hostPath" or any(v.get("name") == SHM_VOLUME for v in spec.volumes):
        return []
    if not shm_mounts(spec) and SHM_VOLUME not in _mounted_volumes(spec):
        return []
    # Directory: a node without /dev/shm is broken, and one made by the kubelet would hide that.
    return [{"name": SHM_VOLUME, "hostPath": {"path": SHM, "type": "Directory"}}]


def shm_mounts(spec: EngineSpec) -> list[dict[str, Any]]:
    """Return the mount of the host's /dev/shm, unless the user mounts it already.

    Validation has made sure that a mount of the user's at /dev/shm is the host's.
    """
    if ipc_mode(spec) != "hostPath" or any(_is_at_shm(mount) for mount in spec.volume_mounts):
        return []
    return [{"name": SHM_VOLUME, "mountPath": SHM}]


def _is_at_shm(mount: dict[str, Any]) -> bool:
    return posixpath.normpath(str(mount.get("mountPath"))) == SHM


def _mounted_volumes(spec: EngineSpec) -> Iterator[str | None]:
    yield from (mount.get("name") for mount in spec.volume_mounts)
    for container in spec.init_containers:
        yield from (mount.get("name") for mount in container.get("volumeMounts") or ())
