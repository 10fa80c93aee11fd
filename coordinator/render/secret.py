"""The managed copy of the Redis credential, in the engine's own namespace.

Pods can take environment variables from Secrets of their own namespace only; and a copy of its own
keeps the DaemonSet working when the source is renamed or goes.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from coordinator.render.manifest import Manifest, metadata
from coordinator.render.names import credential_name

if TYPE_CHECKING:
    from coordinator.api.engine import Engine


def credential_copy(engine: Engine, *, password: bytes, username: bytes | None = None) -> Manifest:
    """Return the copy, with nothing of the source but the credential itself."""
    data = {"password": password}
    if username is not None:
        data["username"] = username
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(engine, credential_name(engine.name)),
        "type": "Opaque",
        "data": {key: base64.b64encode(value).decode("ascii") for key, value in data.items()},
    }
