"""The environment of the cache server's container."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coordinator.render.manifest import as_given
from coordinator.render.names import credential_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordinator.api.engine import Engine
    from coordinator.api.spec import EngineSpec


def env(engine: Engine) -> list[dict[str, Any]]:
    """Return the operator's variables, then the user's.

    A variable of the user's takes the place of ours with the same name: the kubelet would let the
    last one win, but server-side apply refuses a list that names one variable twice.
    """
    given = as_given(engine.spec.env)
    names = {variable["name"] for variable in given}
    own = (
        *_server(engine.spec),
        *_credential(engine),
        *_fleet_coordinator(engine.spec),
    )
    return [*(variable for variable in own if variable["name"] not in names), *given]


def _server(spec: EngineSpec) -> Iterator[dict[str, Any]]:
    yield {"name": "LMCACHE_LOG_LEVEL", "value": spec.log_level}
    if spec.gpu_vendor == "nvidia":
        # Visibility without ownership: the runtime injects all GPUs, and the device plugin, which
        # counts them for the scheduler, is not asked.
        yield {"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}
        yield {"name": "NVIDIA_DRIVER_CAPABILITIES", "value": "all"}


def _credential(engine: Engine) -> Iterator[dict[str, Any]]:
    backend = engine.spec.l2_backend
    if backend is None or backend.resp is None or backend.resp.auth_secret_ref is None:
        return
    secret = {"name": credential_name(engine.name)}
    yield {
        "name": "LMCACHE_RESP_PASSWORD",
        "valueFrom": {"secretKeyRef": {**secret, "key": "password"}},
    }
    # Optional: Redis without ACLs knows a password only.
    yield {
        "name": "LMCACHE_RESP_USERNAME",
        "valueFrom": {"secretKeyRef": {**secret, "key": "username", "optional": True}},
    }


def _fleet_coordinator(spec: EngineSpec) -> Iterator[dict[str, Any]]:
    if spec.coordinator is not None and not spec.coordinator.advertise_ip:
        # Without it the server guesses its address from its outbound route.
        yield {
            "name": "LMCACHE_COORDINATOR_ADVERTISE_IP",
            "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}},
        }
