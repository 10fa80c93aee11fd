"""The check `nvml`: every way in which the driver can fail has its reason."""

from __future__ import annotations

import pytest

from nodeagent.findings import Outcome
from nodeagent.host import PciGpu
from nodeagent.nvml.model import Driver, Failure, FailureKind, Reading
from nodeagent.probes.driver import judge

PCI = (PciGpu("0000:01:00.0", "nvidia"),)
FAIL, UNKNOWN, NOT_APPLICABLE = Outcome.FAIL, Outcome.UNKNOWN, Outcome.NOT_APPLICABLE


def code(number: int, call: str = "nvmlInit") -> Failure:
    return Failure(FailureKind.CODE, call=call, code=number)


def timeout(**changes: object) -> Failure:
    return Failure(FailureKind.TIMEOUT, seconds=5.0, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("failure", "pci", "outcome", "reason", "words"),
    [
        pytest.param(code(12), PCI, FAIL, "LibraryNotFound", "LIBRARY_NOT_FOUND (12)", id="12"),
        pytest.param(code(12), None, FAIL, "LibraryNotFound", "(12)", id="12, bus unknown"),
        pytest.param(code(12), (), NOT_APPLICABLE, "NoNvidiaDevice", "PCI bus", id="12, no GPU"),
        pytest.param(code(9), PCI, FAIL, "DriverNotLoaded", "DRIVER_NOT_LOADED (9)", id="9"),
        pytest.param(code(9), (), FAIL, "DriverNotLoaded", "(9)", id="9, no GPU"),
        pytest.param(code(18), PCI, FAIL, "DriverLibraryMismatch", "(18)", id="18"),
        pytest.param(code(4), PCI, UNKNOWN, "NoPermission", "NO_PERMISSION (4)", id="4"),
        pytest.param(code(999), PCI, FAIL, "DriverUnknownError", "UNKNOWN (999)", id="999"),
        pytest.param(
            code(27, "nvmlDeviceGetCount"),
            PCI,
            UNKNOWN,
            "NvmlError",
            "nvmlDeviceGetCount failed: NVML answers NOT_READY (27)",
            id="any other",
        ),
        pytest.param(
            timeout(call="nvmlDeviceGetMemoryInfo", gpu=3),
            PCI,
            FAIL,
            "DriverTimeout",
            "within 5 s, in nvmlDeviceGetMemoryInfo of GPU 3",
            id="hangs in a call",
        ),
        pytest.param(
            timeout(call="(starting)"), PCI, FAIL, "DriverTimeout", "within 5 s", id="hangs early"
        ),
        pytest.param(
            timeout(call="nvmlInit", unreaped=True),
            PCI,
            FAIL,
            "DriverTimeout",
            "hangs in the kernel and cannot be killed",
            id="cannot be killed",
        ),
        pytest.param(
            Failure(FailureKind.DIED, call="nvmlInit", detail="signal 11"),
            PCI,
            UNKNOWN,
            "NvmlProcessDied",
            "(signal 11), in nvmlInit",
            id="child died",
        ),
    ],
)
def test_failures(
    failure: Failure, pci: tuple[PciGpu, ...] | None, outcome: Outcome, reason: str, words: str
) -> None:
    finding = judge(failure, pci=pci)
    assert (finding.outcome, finding.reason) == (outcome, reason)
    assert words in finding.message
    assert len(finding.message) <= 140
    assert bool(finding.remedy) == (outcome is not NOT_APPLICABLE)


def test_a_driver_that_answers_shows_what_was_loaded() -> None:
    finding = judge(Reading(Driver("/x/libnvidia-ml.so.1", "580.1", "13.580"), ()), pci=PCI)
    assert finding.outcome is Outcome.PASS
    assert finding.evidence["library"] == "/x/libnvidia-ml.so.1"
