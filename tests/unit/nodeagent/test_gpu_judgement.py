"""The checks `gpu-count` and `gpu-lost`."""

from __future__ import annotations

import pytest

from nodeagent.assignment import Assignment, Engine, Thresholds
from nodeagent.findings import Outcome
from nodeagent.host import PciGpu
from nodeagent.nvml.model import Driver, Failure, FailureKind, Gpu, Reading
from nodeagent.probes import gpu_loss, gpu_number
from nodeagent.probes.known_gpus import KnownGpu, remembered

PASS, FAIL, UNKNOWN = Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN
DEAD = Failure(FailureKind.CODE, call="nvmlInit", code=12)


def gpu(index: int, **changes: object) -> Gpu:
    made = {"uuid": f"GPU-{index:08x}-0000", "model": "NVIDIA H200", **changes}
    return Gpu(index, **made)  # type: ignore[arg-type]


def reading(*gpus: Gpu) -> Reading:
    return Reading(Driver(), gpus)


def pci(count: int, driver: str = "nvidia") -> tuple[PciGpu, ...]:
    return tuple(PciGpu(f"0000:{index:02x}:00.0", driver) for index in range(count))


@pytest.mark.parametrize(
    ("answer", "bus", "expected", "engine", "outcome", "reason"),
    [
        pytest.param(2, pci(2), 2, True, PASS, "GpuCountMatches", id="all agree"),
        pytest.param(2, pci(2), None, True, PASS, "GpuCountMatches", id="nothing promised"),
        pytest.param(2, None, 2, True, PASS, "GpuCountMatches", id="bus not listable"),
        pytest.param(2, pci(2), 1, True, PASS, "GpuCountMatches", id="more than promised"),
        pytest.param(2, pci(2), 8, True, PASS, "GpuCountMatches", id="time-slicing promises 8"),
        pytest.param(
            1, (*pci(1), *pci(1, "vfio-pci")), 1, True, PASS, "GpuCountMatches", id="passed through"
        ),
        pytest.param(1, pci(2), 2, True, FAIL, "GpuMissing", id="one of two on the bus"),
        pytest.param(3, pci(3), 4, True, FAIL, "GpuMissing", id="fewer than promised"),
        pytest.param(7, None, 8, True, FAIL, "GpuMissing", id="fewer than promised, no bus"),
        pytest.param(0, pci(2), 2, True, FAIL, "GpuMissing", id="none of two"),
        pytest.param(0, (), None, True, FAIL, "NoGpu", id="engine on a CPU node"),
        pytest.param(None, (), None, True, FAIL, "NoGpu", id="engine on a CPU node, no library"),
        pytest.param(None, (), None, False, Outcome.NOT_APPLICABLE, "NoGpuExpected", id="CPU node"),
        pytest.param(None, pci(2), 2, True, UNKNOWN, "NvmlUnavailable", id="driver dead"),
        pytest.param(None, None, None, True, UNKNOWN, "NvmlUnavailable", id="nothing known"),
    ],
)
def test_gpu_count(
    answer: int | None,
    bus: tuple[PciGpu, ...] | None,
    expected: int | None,
    engine: bool,
    outcome: Outcome,
    reason: str,
) -> None:
    finding = gpu_number.judge(
        DEAD if answer is None else reading(*map(gpu, range(answer))),
        pci=bus,
        assignment=Assignment(
            engines=(Engine("e"),) if engine else (),
            thresholds=Thresholds(expected_gpus=expected),
        ),
    )
    assert (finding.outcome, finding.reason) == (outcome, reason)


KNOWN = remembered((), [gpu(0), gpu(1)])


@pytest.mark.parametrize(
    ("second", "outcome", "reason", "words"),
    [
        pytest.param(gpu(1), PASS, "GpuAnswers", "answers", id="answers"),
        pytest.param(
            Gpu(1, failures={"handle": 15}),
            FAIL,
            "GpuLost",
            "GPU 1 (GPU-00000001…, NVIDIA H200) is lost: NVML answers GPU_IS_LOST (15)",
            id="lost in the look-up",
        ),
        pytest.param(
            gpu(1, failures={"memory": 15}), FAIL, "GpuLost", "(15)", id="lost in a getter"
        ),
        pytest.param(
            gpu(1, failures={"memory": 16}), FAIL, "GpuResetRequired", "(16)", id="reset required"
        ),
        pytest.param(
            gpu(1, failures={"memory": 16, "handle": 15}), FAIL, "GpuLost", "(15)", id="both"
        ),
        pytest.param(
            Gpu(1, failures={"handle": 4}), UNKNOWN, "GpuNoPermission", "(4)", id="refused"
        ),
        pytest.param(
            Gpu(1, failures={"handle": 999}), Outcome.WARN, "GpuError", "(999)", id="unclear"
        ),
        pytest.param(
            gpu(1, failures={"uncorrectable_errors": 3, "recovery_action": 13}),
            PASS,
            "GpuAnswers",
            "answers",
            id="a board that offers less is well",
        ),
        pytest.param(None, FAIL, "GpuVanished", "no longer listed", id="gone from the list"),
    ],
)
def test_gpu_lost(second: Gpu | None, outcome: Outcome, reason: str, words: str) -> None:
    gpus = [gpu(0), *([] if second is None else [second])]
    first, finding = gpu_loss.judge(reading(*gpus), known=KNOWN)
    assert first.outcome is PASS
    assert (finding.outcome, finding.reason) == (outcome, reason)
    assert finding.subject.identifier == "GPU-00000001-0000"
    assert words in finding.message
    assert len(finding.message) <= 120


def test_every_known_gpu_is_unknown_while_the_driver_is_silent() -> None:
    findings = gpu_loss.judge(DEAD, known=KNOWN)
    assert {finding.reason for finding in findings} == {"NvmlUnavailable"}
    assert len(findings) == 2


def test_a_gpu_that_was_lost_from_the_start_goes_by_its_address() -> None:
    lost = Gpu(1, failures={"handle": 15})
    _, finding = gpu_loss.judge(reading(gpu(0), lost), known=(), pci=pci(2))
    assert finding.subject.identifier == "0000:01:00.0"


def test_a_lost_gpu_is_not_taken_for_one_that_moved_to_its_index() -> None:
    known = (KnownGpu(0, "GPU-a", "", ""), KnownGpu(1, "GPU-b", "", ""))
    # GPU 0 is gone from the list and the other one moved up.
    findings = gpu_loss.judge(reading(Gpu(0, uuid="GPU-b")), known=known)
    assert {each.subject.identifier: each.reason for each in findings} == {
        "GPU-b": "GpuAnswers",
        "GPU-a": "GpuVanished",
    }
