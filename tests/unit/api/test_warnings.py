"""What runs, but hardly as its author expects."""

from typing import Any

import pytest

from coordinator.api.advice import COVERED_FLAGS, SELECTOR_LABELS
from coordinator.api.problem import Problem
from coordinator.api.validation import problems, warnings

L1 = {"l1": {"sizeGB": 60}}
RESP = {"host": "redis", "port": 6379}
S3 = {"s3_endpoint": "e", "s3_region": "r", "aws_secret_access_key": "k"}


def found(spec: dict[str, Any]) -> tuple[Problem, ...]:
    assert problems("my-cache", "llm", {**L1, **spec}) == ()
    return warnings("my-cache", "llm", {**L1, **spec})


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        (
            {"l2Backend": {"resp": RESP, "storePolicy": "skip_l1"}},
            "spec.l2Backend.storePolicy",
            "skip_l1 drops chunks from L1 itself, so eviction.policy LRU has nothing to evict; "
            "set spec.eviction.policy: noop",
        ),
        (
            {"eviction": {"policy": "noop"}},
            "spec.eviction.policy",
            "with noop nothing ever leaves L1, and a full L1 takes no new chunks; choose LRU, or "
            "set spec.l2Backend.storePolicy: skip_l1",
        ),
        (
            {"l1": {"sizeGB": 10, "initSizeGB": 20}},
            "spec.l1.initSizeGB",
            "20 is more than spec.l1.sizeGB (10), which counts; lower it or remove it",
        ),
        (
            {"l2Backend": {"raw": {"type": "s3", "config": S3}}},
            "spec.l2Backend.raw.config.aws_secret_access_key",
            "the server gets it as an argument, which everyone who may read pods can see; give "
            "credentials by spec.env from a Secret, where the adapter allows it",
        ),
        (
            {"isolatedIPC": True, "gpuVendor": "amd"},
            "spec.isolatedIPC",
            "isolated IPC works with NVIDIA GPUs only; remove it, or set spec.gpuVendor: nvidia",
        ),
        (
            {"isolatedIPC": True, "hostIPC": True},
            "spec.hostIPC",
            "has no effect, because spec.isolatedIPC wins; remove one of the two",
        ),
        (
            {"prometheus": {"enabled": False, "serviceMonitor": {"enabled": True}}},
            "spec.prometheus.serviceMonitor.enabled",
            "there is nothing to scrape while spec.prometheus.enabled is false; set it to true, "
            "or switch the ServiceMonitor off",
        ),
        (
            {"extraArgs": ["--foo", "--l1-size-gb=70"]},
            "spec.extraArgs[1]",
            "--l1-size-gb overrides what the operator sets; use spec.l1.sizeGB, from which the "
            "pod's memory is computed",
        ),
        (
            {"env": [{"name": "LMCACHE_LOG_LEVEL", "value": "DEBUG"}]},
            "spec.env[0]",
            "LMCACHE_LOG_LEVEL overrides spec.logLevel; use the field",
        ),
        (
            {"env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "0"}]},
            "spec.env[0]",
            "NVIDIA_VISIBLE_DEVICES other than all hides GPUs from the server, and vLLM pods on "
            "hidden GPUs cannot use the cache; remove it",
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_questionable_spec_runs_with_a_warning(spec, field, message):
    assert found(spec) == (Problem(field, message),)


def test_an_unknown_adapter_is_named_with_the_known_ones():
    (warning,) = found({"l2Backend": {"raw": {"type": "something_new"}}})

    assert warning.field == "spec.l2Backend.raw.type"
    assert warning.message.startswith("LMCache 0.5.6 has no adapter something_new, and a server")
    assert "nixl_store" in warning.message


@pytest.mark.parametrize("flag", COVERED_FLAGS)
def test_a_flag_that_has_a_field_points_to_the_field(flag):
    (warning,) = found({"extraArgs": [flag]})

    assert warning.message.endswith(COVERED_FLAGS[flag])


@pytest.mark.parametrize("label", SELECTOR_LABELS)
def test_a_label_of_the_operator_cannot_be_overridden(label):
    (warning,) = found({"podLabels": {label: "mine"}})

    assert warning.message == f"{label} is a label of the operator, whose value wins; remove it"


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"eviction": {"policy": "noop"}, "l2Backend": {"resp": RESP, "storePolicy": "skip_l1"}},
        {"l1": {"sizeGB": 20, "initSizeGB": 20}},
        {"isolatedIPC": True, "hostIPC": False},
        {"isolatedIPC": False, "gpuVendor": "amd", "hostIPC": True},
        {"env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]},
        {"l2Backend": {"raw": {"type": "fs", "config": {"base_path": "/data"}}}},
        {"extraArgs": ["--l2-adapter", '{"type": "mock"}']},
        {"podLabels": {"team": "a"}},
        {"prometheus": {"serviceMonitor": {"enabled": True}}},
    ],
    ids=lambda spec: str(spec)[:60],
)
def test_an_ordinary_spec_has_no_warnings(spec):
    assert found(spec) == ()


def test_a_spec_that_cannot_be_parsed_has_problems_and_no_warnings():
    assert warnings("my-cache", "llm", {"l1": {"sizeGB": 0}}) == ()
