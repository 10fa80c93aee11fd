"""The spec's types: defaults, names and bounds, as users and the upstream operator know them."""

from typing import Any

import pytest
from pydantic import ValidationError

from coordinator.api.v1alpha1 import EngineSpec

MINIMAL: dict[str, Any] = {"l1": {"sizeGB": 60}}

README_PRODUCTION = {
    "nodeSelector": {"nvidia.com/gpu.present": "true"},
    "image": {"repository": "lmcache/standalone", "tag": "v0.1.0"},
    "server": {"port": 6555, "chunkSize": 256, "maxWorkers": 4},
    "l1": {"sizeGB": 60},
    "eviction": {"triggerWatermark": 0.8, "evictionRatio": 0.2},
    "prometheus": {
        "enabled": True,
        "port": 9090,
        "serviceMonitor": {"enabled": True, "labels": {"release": "kube-prometheus-stack"}},
    },
    "podAnnotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "9090"},
    "priorityClassName": "system-node-critical",
}

# Every field, with a value that is not its default.
EVERYTHING: dict[str, Any] = {
    "image": {"repository": "registry.example/lmcache", "tag": "0.5.6", "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "regcred"}],
    "gpuVendor": "amd",
    "runtimeClassName": "",
    "server": {
        "port": 6555,
        "chunkSize": 512,
        "maxWorkers": 4,
        "hashAlgorithm": "sha256_cbor",
        "httpPort": 8081,
        "release": "0.5.6",
    },
    "l1": {"sizeGB": 0.5, "initSizeGB": 0.25, "useHugepages": True},
    "eviction": {"policy": "noop", "triggerWatermark": 0.9, "evictionRatio": 0.1},
    "prometheus": {
        "enabled": False,
        "port": 9091,
        "serviceMonitor": {"enabled": True, "interval": "1m", "labels": {"a": "b"}},
    },
    "l2Backend": {
        "resp": {
            "host": "redis.default.svc.cluster.local",
            "port": 6379,
            "numWorkers": 4,
            "maxCapacityGB": 100.5,
            "authSecretRef": {"name": "redis-auth", "namespace": "redis"},
        },
        "raw": {"type": "fs", "config": {"base_path": "/data", "nested": {"list": [1, None]}}},
        "storePolicy": "skip_l1",
        "prefetchPolicy": "retain",
        "prefetchMaxInFlight": 4,
        "serde": {
            "aesgcm": {
                "masterKeySecretRef": {"name": "key"},
                "keyProvider": "hkdf",
                "aesBits": 256,
            }
        },
    },
    "coordinator": {
        "url": "http://coordinator:9300",
        "ref": {"name": "fleet"},
        "advertiseIP": "10.0.0.1",
        "heartbeatInterval": 2.5,
        "eventReporting": True,
        "eventFlushInterval": 0.5,
    },
    "pd": {
        "nixlSideChannelPort": 5600,
        "nixlLoadFailurePolicy": "ignore",
        "enforceHandshakeCompat": False,
    },
    "injection": {
        "payloadImage": {"repository": "payload", "tag": "1", "pullPolicy": "Never"},
        "imagePullSecrets": [{"name": "regcred"}],
        "targetContainer": "vllm",
    },
    "logLevel": "DEBUG",
    "extraArgs": ["--enable-tracing"],
    "env": [{"name": "A", "value": "b"}],
    "resourceOverrides": {"requests": {"cpu": 8, "memory": "70Gi"}},
    "nodeSelector": {"a": "b"},
    "affinity": {"nodeAffinity": {}},
    "tolerations": [{"operator": "Exists"}],
    "priorityClassName": "system-node-critical",
    "serviceAccountName": "cache",
    "podLabels": {"team": "a"},
    "podAnnotations": {"a": "b c"},
    "privileged": False,
    "hostIPC": False,
    "isolatedIPC": True,
    "hostNetwork": True,
    "initContainers": [{"name": "prepare", "image": "busybox"}],
    "volumes": [{"name": "data", "emptyDir": {}}],
    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    "updateStrategy": {"type": "OnDelete", "rollingUpdate": {"maxUnavailable": "10%"}},
}


def as_json(spec: EngineSpec) -> dict[str, Any]:
    return spec.model_dump(mode="json", by_alias=True, exclude_none=True)


def at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = getattr(value, name)
    return value


@pytest.mark.parametrize(
    ("path", "default"),
    [
        ("image.repository", "lmcache/vllm-openai"),
        ("image.tag", "latest"),
        ("image.pull_policy", "IfNotPresent"),
        ("gpu_vendor", "nvidia"),
        ("server.port", 5555),
        ("server.chunk_size", 256),
        ("server.max_workers", 1),
        ("server.hash_algorithm", "blake3"),
        ("server.http_port", 8080),
        ("server.release", None),
        ("l1.init_size_gb", None),
        ("l1.use_hugepages", False),
        ("eviction.policy", "LRU"),
        ("eviction.trigger_watermark", 0.8),
        ("eviction.eviction_ratio", 0.2),
        ("prometheus.enabled", True),
        ("prometheus.port", 9090),
        ("prometheus.service_monitor.enabled", False),
        ("prometheus.service_monitor.interval", "30s"),
        ("l2_backend", None),
        ("coordinator", None),
        ("pd", None),
        ("injection", None),
        ("log_level", "INFO"),
        ("host_network", False),
        ("update_strategy.type", "RollingUpdate"),
        ("update_strategy.rolling_update", None),
    ],
)
def test_a_minimal_spec_has_the_documented_default(path, default):
    assert at(EngineSpec.model_validate(MINIMAL), path) == default


@pytest.mark.parametrize(
    "field", ["host_ipc", "isolated_ipc", "privileged", "runtime_class_name", "node_selector"]
)
def test_fields_that_depend_on_others_have_no_default(field):
    assert at(EngineSpec.model_validate(MINIMAL), field) is None


@pytest.mark.parametrize(
    ("given", "path", "default"),
    [
        ({"l2Backend": {"resp": {"host": "r", "port": 1}}}, "l2_backend.resp.num_workers", 8),
        ({"l2Backend": {"resp": {"host": "r", "port": 1}}}, "l2_backend.resp.max_capacity_gb", 0),
        ({"l2Backend": {"raw": {"type": "fs"}}}, "l2_backend.store_policy", "default"),
        ({"l2Backend": {"raw": {"type": "fs"}}}, "l2_backend.prefetch_policy", "default"),
        ({"l2Backend": {"raw": {"type": "fs"}}}, "l2_backend.prefetch_max_in_flight", 8),
        ({"coordinator": {"url": "http://c"}}, "coordinator.heartbeat_interval", 5),
        ({"coordinator": {"url": "http://c"}}, "coordinator.event_reporting", False),
        ({"coordinator": {"url": "http://c"}}, "coordinator.event_flush_interval", 1),
        ({"pd": {}}, "pd.nixl_side_channel_port", 5558),
        ({"pd": {}}, "pd.nixl_load_failure_policy", "fail"),
        ({"pd": {}}, "pd.enforce_handshake_compat", None),
        (
            {"updateStrategy": {"rollingUpdate": {}}},
            "update_strategy.rolling_update.max_unavailable",
            1,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_optional_part_has_its_own_defaults(given, path, default):
    assert at(EngineSpec.model_validate({**MINIMAL, **given}), path) == default


def test_encryption_has_its_own_defaults():
    serde = {"aesgcm": {"masterKeySecretRef": {"name": "key"}}}
    spec = EngineSpec.model_validate(
        {**MINIMAL, "l2Backend": {"raw": {"type": "fs"}, "serde": serde}}
    )

    assert spec.l2_backend is not None
    assert spec.l2_backend.serde is not None
    assert spec.l2_backend.serde.aesgcm.key_provider == "hkdf"
    assert spec.l2_backend.serde.aesgcm.aes_bits == 128


@pytest.mark.parametrize("field", EVERYTHING)
def test_a_field_comes_back_under_the_name_it_came_with(field):
    given = {"l1": EVERYTHING["l1"], field: EVERYTHING[field]}

    assert as_json(EngineSpec.model_validate(given))[field] == EVERYTHING[field]


def test_every_field_of_the_spec_is_tried_above():
    aliases = {field.alias for field in EngineSpec.model_fields.values()}

    assert aliases == set(EVERYTHING)


def test_the_production_example_of_the_readme_is_a_valid_spec():
    spec = EngineSpec.model_validate(README_PRODUCTION)

    assert spec.server.port == 6555
    assert spec.image.tag == "v0.1.0"
    assert spec.prometheus.service_monitor.labels == {"release": "kube-prometheus-stack"}


def test_core_types_are_passed_through_as_written():
    resources = {"requests": {"cpu": 8, "memory": "70Gi"}, "unknown": [1, {"a": None}]}

    spec = EngineSpec.model_validate({**MINIMAL, "resourceOverrides": resources})

    assert spec.resource_overrides == resources


def test_a_spec_cannot_be_changed():
    spec = EngineSpec.model_validate(MINIMAL)

    with pytest.raises(ValidationError, match="frozen"):
        spec.server.port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"l1": {}},
        {"l1": {"sizeGB": 0}},
        {"l1": {"sizeGB": -1}},
        {"l1": {"sizeGB": "60"}},
        {"l1": {"sizeGB": float("nan")}},
        {"l1": {"sizeGB": float("inf")}},
        {"l1": {"sizeGB": 70000}},
        {**MINIMAL, "server": {"port": 80}},
        {**MINIMAL, "server": {"port": 65536}},
        {**MINIMAL, "server": {"port": "5555"}},
        {**MINIMAL, "server": {"chunkSize": 0}},
        {**MINIMAL, "server": {"maxWorkers": True}},
        {**MINIMAL, "server": {"httpPort": 1023}},
        {**MINIMAL, "server": {"hashAlgorithm": "md5"}},
        {**MINIMAL, "server": {"release": "latest"}},
        {**MINIMAL, "eviction": {"policy": "FIFO"}},
        {**MINIMAL, "eviction": {"triggerWatermark": 0}},
        {**MINIMAL, "eviction": {"evictionRatio": 1.01}},
        {**MINIMAL, "prometheus": {"enabled": "true"}},
        {**MINIMAL, "prometheus": {"serviceMonitor": {"interval": "soon"}}},
        {**MINIMAL, "prometheus": {"serviceMonitor": {"interval": ""}}},
        {**MINIMAL, "image": {"tag": "sha256:abc"}},
        {**MINIMAL, "image": {"repository": "a b"}},
        {**MINIMAL, "image": {"pullPolicy": "Sometimes"}},
        {**MINIMAL, "l2Backend": {"resp": {"host": "", "port": 1}}},
        {**MINIMAL, "l2Backend": {"resp": {"host": "redis://r", "port": 1}}},
        {**MINIMAL, "l2Backend": {"resp": {"host": "r"}}},
        {**MINIMAL, "l2Backend": {"resp": {"host": "r", "port": 0}}},
        {**MINIMAL, "l2Backend": {"resp": {"host": "r", "port": 1, "numWorkers": 0}}},
        {**MINIMAL, "l2Backend": {"resp": {"host": "r", "port": 1, "maxCapacityGB": -1}}},
        {**MINIMAL, "l2Backend": {"raw": {"type": ""}}},
        {**MINIMAL, "l2Backend": {"raw": {"type": "fs"}, "serde": {}}},
        {**MINIMAL, "l2Backend": {"raw": {"type": "fs"}, "prefetchMaxInFlight": 0}},
        {**MINIMAL, "coordinator": {"url": "coordinator:9300"}},
        {**MINIMAL, "coordinator": {"url": "http://c", "heartbeatInterval": 0}},
        {**MINIMAL, "pd": {"nixlSideChannelPort": 1}},
        {**MINIMAL, "nodeSelector": {"a": "x" * 64}},
        {**MINIMAL, "extraArgs": ["--a"] * 129},
        {**MINIMAL, "serviceAccountName": "Not_A_Name"},
        {**MINIMAL, "runtimeClassName": "-"},
        {**MINIMAL, "size": 1},
    ],
    ids=str,
)
def test_what_is_out_of_bounds_is_refused(spec):
    with pytest.raises(ValidationError):
        EngineSpec.model_validate(spec)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("image", {"tag": "0.5.6@sha256:" + "0" * 64}),
        ("image", {"repository": "registry.example:5000/a/lmcache@sha256", "tag": "a" * 64}),
        ("prometheus", {"serviceMonitor": {"interval": "1m30s"}}),
        ("runtimeClassName", ""),
        ("eviction", {"policy": "IsolatedLRU", "triggerWatermark": 1, "evictionRatio": 1}),
        ("l1", {"sizeGB": 0.04}),
        ("server", {"release": "v0.5.6rc1"}),
        ("updateStrategy", {"rollingUpdate": {"maxUnavailable": 3}}),
    ],
    ids=str,
)
def test_what_is_within_bounds_is_taken(part, value):
    spec = EngineSpec.model_validate({**MINIMAL, part: value})

    assert spec.model_dump(by_alias=True, exclude_unset=True)[part] == value
