"""What vLLM reads."""

from __future__ import annotations

import json

import pytest

from coordinator.render.connection import connection_config_map
from coordinator.render.facts import Facts

# What upstream's operator writes for this engine, byte for byte.
UPSTREAM = """{
  "kv_connector": "LMCacheMPConnector",
  "kv_connector_extra_config": {
    "lmcache.mp.host": "tcp://my-cache.default.svc.cluster.local",
    "lmcache.mp.port": "5555"
  },
  "kv_connector_module_path": "lmcache.integration.vllm.lmcache_mp_connector",
  "kv_role": "kv_both"
}"""


def test_it_is_what_upstream_writes(make_engine):
    config_map = connection_config_map(make_engine(), Facts())
    assert config_map["metadata"]["name"] == "my-cache-connection"
    assert config_map["data"] == {"kv-transfer-config.json": UPSTREAM}


@pytest.mark.parametrize(
    ("spec", "facts", "changes"),
    [
        ({"server": {"port": 6555}}, Facts(), {"lmcache.mp.port": "6555"}),
        ({"isolatedIPC": True}, Facts(), {"lmcache.mp.isolated_ipc": True}),
        ({"isolatedIPC": False}, Facts(), {}),
        (
            {"server": {"hashAlgorithm": "builtin"}},
            Facts(),
            {"lmcache.mp.hash_algorithm": "builtin"},
        ),
        (
            {},
            Facts(cluster_domain="k8s.example.com"),
            {"lmcache.mp.host": "tcp://my-cache.default.svc.k8s.example.com"},
        ),
    ],
    ids=["port as text", "isolated", "not isolated", "hash", "cluster domain"],
)
def test_settings_of_both_sides_agree(make_engine, spec, facts, changes):
    data = connection_config_map(make_engine(**spec), facts)["data"]
    expected = json.loads(UPSTREAM)
    expected["kv_connector_extra_config"].update(changes)
    assert json.loads(data["kv-transfer-config.json"]) == expected


@pytest.mark.parametrize(
    ("role", "kv_role"), [("prefiller", "kv_producer"), ("decoder", "kv_consumer")]
)
def test_each_role_gets_nixl_and_the_cache(make_engine, role, kv_role):
    engine = make_engine(pd={"nixlLoadFailurePolicy": "ignore", "enforceHandshakeCompat": False})
    data = connection_config_map(engine, Facts())["data"]
    assert json.loads(data[f"kv-transfer-config-{role}.json"]) == {
        "kv_connector": "MultiConnector",
        "kv_role": kv_role,
        "kv_connector_extra_config": {
            "connectors": [
                {
                    "kv_connector": "NixlConnector",
                    "kv_role": kv_role,
                    "kv_load_failure_policy": "ignore",
                    "kv_connector_extra_config": {"enforce_handshake_compat": False},
                },
                json.loads(UPSTREAM),
            ]
        },
    }
    assert data["kv-transfer-config.json"] == UPSTREAM


def test_the_handshake_is_left_to_nixl_unless_given(make_engine):
    data = connection_config_map(make_engine(pd={}), Facts())["data"]
    nixl = json.loads(data["kv-transfer-config-decoder.json"])["kv_connector_extra_config"]
    assert "kv_connector_extra_config" not in nixl["connectors"][0]
    assert data["nixl-side-channel-port"] == "5558"
