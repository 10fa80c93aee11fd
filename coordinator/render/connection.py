"""The ConfigMap from which vLLM pods take their `--kv-transfer-config`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from coordinator.api.server import ServerSpec
from coordinator.render.manifest import Manifest, metadata
from coordinator.render.names import connection_name, lookup_service_name

if TYPE_CHECKING:
    from coordinator.api.engine import Engine
    from coordinator.api.spec import PrefillDecodeSpec
    from coordinator.render.facts import Facts

_DEFAULT_HASH = ServerSpec().hash_algorithm


def connection_config_map(engine: Engine, facts: Facts) -> Manifest:
    """Return the ConfigMap: one key, and with `pd` one more for each role and the NIXL port."""
    cache = cache_connector(engine, facts)
    data = {"kv-transfer-config.json": _json(cache)}
    pd = engine.spec.pd
    if pd is not None:
        data["kv-transfer-config-prefiller.json"] = _json(_role(cache, pd, role="kv_producer"))
        data["kv-transfer-config-decoder.json"] = _json(_role(cache, pd, role="kv_consumer"))
        # For VLLM_NIXL_SIDE_CHANNEL_PORT of the vLLM pods, by configMapKeyRef.
        data["nixl-side-channel-port"] = str(pd.nixl_side_channel_port)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(engine, connection_name(engine.name)),
        "data": data,
    }


def cache_connector(engine: Engine, facts: Facts) -> dict[str, Any]:
    """Return vLLM's connector to the cache server of its node."""
    service, spec = lookup_service_name(engine.name), engine.spec
    settings: dict[str, Any] = {
        "lmcache.mp.host": f"tcp://{service}.{engine.namespace}.svc.{facts.cluster_domain}",
        "lmcache.mp.port": str(spec.server.port),
    }
    # Both must be the same on the two sides; said only where they are not the connector's default.
    if spec.isolated_ipc:
        settings["lmcache.mp.isolated_ipc"] = True
    if spec.server.hash_algorithm != _DEFAULT_HASH:
        settings["lmcache.mp.hash_algorithm"] = spec.server.hash_algorithm
    return {
        "kv_connector": "LMCacheMPConnector",
        # vLLM's own copy of the connector, where it has one, is older than the server.
        "kv_connector_module_path": "lmcache.integration.vllm.lmcache_mp_connector",
        "kv_role": "kv_both",
        "kv_connector_extra_config": settings,
    }


def _role(cache: dict[str, Any], pd: PrefillDecodeSpec, *, role: str) -> dict[str, Any]:
    """Return the connector of one role: NIXL between the roles, and the cache beside it."""
    nixl: dict[str, Any] = {
        "kv_connector": "NixlConnector",
        "kv_role": role,
        "kv_load_failure_policy": pd.nixl_load_failure_policy,
    }
    if pd.enforce_handshake_compat is not None:
        compat = pd.enforce_handshake_compat
        nixl["kv_connector_extra_config"] = {"enforce_handshake_compat": compat}
    return {
        "kv_connector": "MultiConnector",
        "kv_role": role,
        "kv_connector_extra_config": {"connectors": [nixl, cache]},
    }


def _json(config: dict[str, Any]) -> str:
    # Sorted, which makes it byte for byte what upstream's operator writes: taking over an engine
    # of its leaves the ConfigMap as it is.
    return json.dumps(config, indent=2, sort_keys=True)
