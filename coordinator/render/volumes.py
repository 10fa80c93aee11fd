"""The volumes of the pod and their mounts in the cache server's container."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coordinator.api.rules import MASTER_KEY_PATH, MASTER_KEY_VOLUME
from coordinator.render.devshm import shm_mounts, shm_volumes
from coordinator.render.manifest import as_given

if TYPE_CHECKING:
    from coordinator.api.spec import EngineSpec

_MASTER_KEY = "master"


def volumes(spec: EngineSpec) -> list[dict[str, Any]]:
    """Return the operator's volumes, then the user's."""
    found = shm_volumes(spec)
    if spec.l2_backend and spec.l2_backend.serde:
        # Only the master key, readable by its owner: the Secret may hold more than that.
        secret = {
            "secretName": spec.l2_backend.serde.aesgcm.master_key_secret_ref.name,
            "items": [{"key": _MASTER_KEY, "path": _MASTER_KEY, "mode": 0o400}],
        }
        found.append({"name": MASTER_KEY_VOLUME, "secret": secret})
    return [*found, *as_given(spec.volumes)]


def volume_mounts(spec: EngineSpec) -> list[dict[str, Any]]:
    """Return the operator's mounts, then the user's."""
    found = shm_mounts(spec)
    if spec.l2_backend and spec.l2_backend.serde:
        mount = {"name": MASTER_KEY_VOLUME, "mountPath": MASTER_KEY_PATH, "readOnly": True}
        found.append(mount)
    return [*found, *as_given(spec.volume_mounts)]
