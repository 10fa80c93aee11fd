"""What a spec comes down to where one field's default depends on others."""

from typing import Any

import pytest

from coordinator.api.effective import ipc_mode, privileged, runtime_class
from coordinator.api.v1alpha1 import EngineSpec


def spec(**fields: Any) -> EngineSpec:
    return EngineSpec.model_validate({"l1": {"sizeGB": 60}, **fields})


@pytest.mark.parametrize(
    ("host_ipc", "isolated_ipc", "mode"),
    [
        (None, None, "hostIPC"),
        (True, None, "hostIPC"),
        (False, None, "hostPath"),
        (None, False, "hostIPC"),
        (True, False, "hostIPC"),
        (False, False, "hostPath"),
        (None, True, "isolated"),
        (True, True, "isolated"),
        (False, True, "isolated"),
    ],
)
@pytest.mark.parametrize("vendor", ["nvidia", "amd"])
def test_isolated_wins_and_the_readme_decides_the_rest(vendor, host_ipc, isolated_ipc, mode):
    engine = spec(gpuVendor=vendor, hostIPC=host_ipc, isolatedIPC=isolated_ipc)

    assert ipc_mode(engine) == mode


@pytest.mark.parametrize(
    ("vendor", "given", "expected"),
    [
        ("nvidia", None, "nvidia"),
        ("nvidia", "", None),
        ("nvidia", "nvidia-cdi", "nvidia-cdi"),
        ("amd", None, None),
        ("amd", "", None),
        ("amd", "amd", "amd"),
    ],
)
def test_the_runtime_class_follows_the_vendor_unless_given(vendor, given, expected):
    assert runtime_class(spec(gpuVendor=vendor, runtimeClassName=given)) == expected


@pytest.mark.parametrize(("given", "expected"), [(None, True), (True, True), (False, False)])
def test_the_server_is_privileged_unless_told_otherwise(given, expected):
    assert privileged(spec(privileged=given)) is expected
