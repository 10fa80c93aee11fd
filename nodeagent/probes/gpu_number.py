"""The check `gpu-count`: are all GPUs of the node visible? Pure."""

from nodeagent.assignment import Assignment
from nodeagent.catalogue import gpu as reasons
from nodeagent.findings import NODE, Finding
from nodeagent.host import PciGpu
from nodeagent.nvml.model import Failure, Reading

# Given to virtual machines on purpose: the NVIDIA driver is not meant to show these.
_PASSED_THROUGH = frozenset({"vfio-pci", "pci-stub"})


def judge(
    answer: Reading | Failure, *, pci: tuple[PciGpu, ...] | None, assignment: Assignment
) -> Finding:
    """Compare the driver's count with the PCI bus and with what Kubernetes promises."""
    on_bus = None if pci is None else sum(gpu.driver not in _PASSED_THROUGH for gpu in pci)
    expected = assignment.thresholds.expected_gpus
    evidence = {
        "pci": "unknown" if on_bus is None else str(on_bus),
        "expected": "unknown" if expected is None else str(expected),
    }
    if isinstance(answer, Failure):
        if on_bus == 0 and not expected:
            return _no_gpu(assignment, evidence)
        return reasons.GPU_COUNT.finding(
            reasons.NVML_UNAVAILABLE,
            NODE,
            "GPUs cannot be counted: NVML gives no answer",
            evidence=evidence,
        )
    visible = len(answer.gpus)
    evidence["visible"] = str(visible)
    if visible == 0 and not on_bus and not expected:
        return _no_gpu(assignment, evidence)
    if on_bus is not None and visible < on_bus:
        return reasons.GPU_COUNT.finding(
            reasons.GPU_MISSING,
            NODE,
            f"The driver shows {visible} of the {on_bus} NVIDIA GPUs on the PCI bus",
            evidence=evidence,
        )
    if expected is not None and visible < expected and not _is_shared(visible, expected, on_bus):
        return reasons.GPU_COUNT.finding(
            reasons.GPU_MISSING,
            NODE,
            f"The driver shows {visible} of the {expected} GPUs that Kubernetes promises",
            evidence=evidence,
        )
    noun = "GPU is" if visible == 1 else "GPUs are"
    return reasons.GPU_COUNT.finding(
        reasons.GPU_COUNT_MATCHES, NODE, f"{visible} {noun} visible", evidence=evidence
    )


def _is_shared(visible: int, expected: int, on_bus: int | None) -> bool:
    """Tell whether Kubernetes counts shares of GPUs (time-slicing, MPS), and all GPUs are there."""
    return visible > 0 and visible == on_bus and expected % visible == 0


def _no_gpu(assignment: Assignment, evidence: dict[str, str]) -> Finding:
    if assignment.engines:
        return reasons.GPU_COUNT.finding(
            reasons.NO_GPU,
            NODE,
            f"{assignment.engines[0].title} runs here, and the node has no NVIDIA GPU",
            evidence=evidence,
        )
    return reasons.GPU_COUNT.finding(
        reasons.NO_GPU_EXPECTED, NODE, "The node has no NVIDIA GPU and no engine", evidence=evidence
    )
