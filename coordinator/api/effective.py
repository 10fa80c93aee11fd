"""What an engine's spec comes down to where a field's default depends on other fields.

A resource written for the original README gets what that README says: the nvidia runtime class,
privileged, and the host's IPC namespace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from coordinator.api.spec import EngineSpec

IpcMode = Literal["isolated", "hostIPC", "hostPath"]


def ipc_mode(spec: EngineSpec) -> IpcMode:
    """Return how the server shares GPU memory handles with the vLLM pods of its node.

    isolated: by handles that need no shared namespace; hostIPC: through the host's IPC namespace
    and its /dev/shm; hostPath: through the host's /dev/shm, mounted into the pod.
    """
    if spec.isolated_ipc:
        return "isolated"
    return "hostPath" if spec.host_ipc is False else "hostIPC"


def runtime_class(spec: EngineSpec) -> str | None:
    """Return the pods' runtime class, None for none."""
    if spec.runtime_class_name is not None:
        return spec.runtime_class_name or None
    return "nvidia" if spec.gpu_vendor == "nvidia" else None


def privileged(spec: EngineSpec) -> bool:
    """Return whether the cache server runs privileged."""
    return True if spec.privileged is None else spec.privileged
