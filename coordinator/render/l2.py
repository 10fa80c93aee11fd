"""The second tier as the server's `--l2-adapter` takes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from coordinator.api.rules import MASTER_KEY_PATH

if TYPE_CHECKING:
    from coordinator.api.l2 import L2BackendSpec, RespSpec


def l2_adapter(backend: L2BackendSpec) -> str:
    """Return the adapter's settings as compact JSON with sorted keys, so that it never moves.

    It holds no credential: arguments are readable for everyone who may read pods. The server takes
    user name and password from its environment where the JSON does not have them.
    """
    settings: dict[str, Any] = {}
    if backend.resp is not None:
        settings |= _resp(backend.resp)
    if backend.raw is not None:
        settings |= {**backend.raw.config, "type": backend.raw.type}
    if backend.serde is not None:
        aesgcm = backend.serde.aesgcm
        settings["serde"] = {
            "type": "aesgcm",
            "key_provider": aesgcm.key_provider,
            "master_key_path": f"{MASTER_KEY_PATH}/master",
            "aes_bits": aesgcm.aes_bits,
        }
    return json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _resp(resp: RespSpec) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "type": "resp",
        "host": resp.host,
        "port": resp.port,
        "num_workers": resp.num_workers,
    }
    if resp.max_capacity_gb > 0:
        settings["max_capacity_gb"] = resp.max_capacity_gb
    return settings
