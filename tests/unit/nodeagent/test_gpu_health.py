"""The check `gpu-health`: one row per state of a GPU."""

from __future__ import annotations

import pytest

from nodeagent.findings import Outcome
from nodeagent.nvml.model import Gpu, RemappedRows, RetiredPages
from nodeagent.probes.gpu_health import judge
from nodeagent.probes.known_gpus import KnownGpu

PASS, WARN, FAIL, UNKNOWN = Outcome.PASS, Outcome.WARN, Outcome.FAIL, Outcome.UNKNOWN
WHO = KnownGpu(3, "GPU-a", "NVIDIA H200", "bus")
RESET = "nvidia-smi --gpu-reset -i 3"


def rows(uncorrectable: int = 0, *, pending: bool = False, failed: bool = False) -> RemappedRows:
    return RemappedRows(5, uncorrectable, pending=pending, failed=failed)


@pytest.mark.parametrize(
    ("gpu", "outcome", "reason", "message", "remedy"),
    [
        pytest.param(
            Gpu(3, recovery_action=0, uncorrectable_errors=0, remapped_rows=rows()),
            PASS,
            "GpuHealthy",
            "GPU 3 (GPU-a, NVIDIA H200) has sound memory",
            "",
            id="healthy",
        ),
        pytest.param(
            Gpu(3, failures={"uncorrectable_errors": 3, "remapped_rows": 3}),
            Outcome.NOT_APPLICABLE,
            "GpuHealthNotOffered",
            "keeps no records",
            "",
            id="no ECC, old driver",
        ),
        pytest.param(
            Gpu(3, failures={"handle": 15}), UNKNOWN, "GpuNotAnswering", "", "gpu-lost", id="lost"
        ),
        pytest.param(
            Gpu(3, recovery_action=1), FAIL, "GpuRecoveryRequired", "action 1", RESET, id="reset"
        ),
        pytest.param(
            Gpu(3, recovery_action=2), FAIL, "GpuRecoveryRequired", "action 2", "reboot", id="boot"
        ),
        pytest.param(
            Gpu(3, recovery_action=4), FAIL, "GpuRecoveryRequired", "action 4", RESET, id="drain"
        ),
        pytest.param(
            Gpu(3, recovery_action=5), FAIL, "GpuRecoveryRequired", "action 5", "IMEX", id="imex"
        ),
        pytest.param(
            Gpu(3, recovery_action=6), FAIL, "GpuRecoveryRequired", "action 6", RESET, id="bus"
        ),
        pytest.param(
            Gpu(3, recovery_action=7), FAIL, "GpuRecoveryRequired", "7", "whole system", id="system"
        ),
        pytest.param(
            Gpu(3, recovery_action=42), FAIL, "GpuRecoveryRequired", "42", "nvidia-smi -q", id="new"
        ),
        pytest.param(
            Gpu(3, recovery_action=3), WARN, "GpuDrainAdvised", "action 3", "Move", id="drain p2p"
        ),
        pytest.param(
            Gpu(3, remapped_rows=rows(failed=True, pending=True)),
            FAIL,
            "GpuRowRemapFailed",
            "could not remap",
            "RMA",
            id="remap failed",
        ),
        pytest.param(
            Gpu(3, remapped_rows=rows(512)), FAIL, "GpuRowsExhausted", "512", "RMA", id="512 rows"
        ),
        pytest.param(
            Gpu(3, remapped_rows=rows(511)), PASS, "GpuHealthy", "sound", "", id="511 rows"
        ),
        pytest.param(
            Gpu(3, remapped_rows=rows(pending=True)),
            WARN,
            "GpuRowRemapPending",
            "next reset",
            RESET,
            id="remap pending",
        ),
        pytest.param(
            Gpu(3, retired_pages=RetiredPages(63, 0)),
            FAIL,
            "GpuPagesExhausted",
            "63 retired pages",
            "RMA",
            id="63 pages",
        ),
        pytest.param(
            Gpu(3, retired_pages=RetiredPages(0, 15)),
            FAIL,
            "GpuPagesExhausted",
            "15 of them for double-bit",
            "RMA",
            id="15 double-bit pages",
        ),
        pytest.param(
            Gpu(3, retired_pages=RetiredPages(10, 2)), PASS, "GpuHealthy", "", "", id="12 pages"
        ),
        pytest.param(
            Gpu(3, retirement_pending=True),
            WARN,
            "GpuPageRetirementPending",
            "a page to retire",
            RESET,
            id="retirement pending",
        ),
        pytest.param(
            Gpu(3, uncorrectable_errors=2),
            FAIL,
            "GpuEccUncorrectable",
            "had 2 uncorrectable",
            RESET,
            id="ECC, driver says nothing",
        ),
        pytest.param(
            Gpu(3, uncorrectable_errors=2, recovery_action=0),
            WARN,
            "GpuEccContained",
            "asks for no recovery",
            "Restart pods",
            id="ECC, driver content",
        ),
        pytest.param(
            Gpu(3, failures={"remapped_rows": 14}),
            FAIL,
            "GpuInforomCorrupted",
            "CORRUPTED_INFOROM (14)",
            "replaced",
            id="infoROM",
        ),
    ],
)
def test_states(gpu: Gpu, outcome: Outcome, reason: str, message: str, remedy: str) -> None:
    (finding,) = judge([(WHO, gpu)])
    assert (finding.outcome, finding.reason) == (outcome, reason)
    assert message in finding.message
    assert remedy in finding.remedy
    assert bool(remedy) == bool(finding.remedy)
    assert "{" not in finding.remedy
    assert len(finding.message) <= 120
