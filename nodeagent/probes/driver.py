"""The check `nvml`: does the driver answer? Pure."""

from nodeagent.catalogue import gpu as reasons
from nodeagent.catalogue.model import Reason
from nodeagent.findings import NODE, Finding
from nodeagent.host import PciGpu
from nodeagent.nvml import codes
from nodeagent.nvml.model import Failure, FailureKind, Reading

_BY_CODE = {
    codes.LIBRARY_NOT_FOUND: reasons.LIBRARY_NOT_FOUND,
    codes.DRIVER_NOT_LOADED: reasons.DRIVER_NOT_LOADED,
    codes.LIB_RM_VERSION_MISMATCH: reasons.DRIVER_LIBRARY_MISMATCH,
    codes.NO_PERMISSION: reasons.NVML_NO_PERMISSION,
    codes.UNKNOWN: reasons.DRIVER_UNKNOWN_ERROR,
}

_SENTENCES = {
    codes.LIBRARY_NOT_FOUND: "No driver library (libnvidia-ml.so.1) was given to the agent",
    codes.DRIVER_NOT_LOADED: "The NVIDIA kernel module is not loaded",
    codes.LIB_RM_VERSION_MISMATCH: "Driver library and kernel module are of different versions",
    codes.NO_PERMISSION: "The driver refuses the agent",
    codes.UNKNOWN: "The driver fails with an unknown error",
}


def judge(answer: Reading | Failure, *, pci: tuple[PciGpu, ...] | None) -> Finding:
    """Say whether NVML answered, and why not."""
    if isinstance(answer, Reading):
        driver = answer.driver
        return reasons.NVML.finding(
            reasons.NVML_ANSWERS,
            NODE,
            f"Driver {driver.driver_version or 'of unknown version'} answers",
            evidence={
                "library": driver.library_path,
                "driverVersion": driver.driver_version,
                "nvmlVersion": driver.nvml_version,
            },
        )
    evidence = _evidence(answer, pci)
    if answer.kind is FailureKind.TIMEOUT:
        return reasons.NVML.finding(
            reasons.DRIVER_TIMEOUT, NODE, _timeout_sentence(answer), evidence=evidence
        )
    if answer.kind is FailureKind.DIED:
        detail = f" ({answer.detail})" if answer.detail else ""
        return reasons.NVML.finding(
            reasons.NVML_PROCESS_DIED,
            NODE,
            f"The agent's NVML process ended{detail}{_place(answer)}",
            evidence=evidence,
        )
    if answer.code == codes.LIBRARY_NOT_FOUND and pci == ():
        return reasons.NVML.finding(
            reasons.NO_NVIDIA_DEVICE,
            NODE,
            "No NVIDIA device on the PCI bus, and no driver library",
            evidence=evidence,
        )
    return reasons.NVML.finding(
        _reason(answer.code), NODE, _code_sentence(answer), evidence=evidence
    )


def _reason(code: int) -> Reason:
    return _BY_CODE.get(code, reasons.NVML_ERROR)


def _code_sentence(failure: Failure) -> str:
    sentence = _SENTENCES.get(failure.code, f"{failure.call} failed")
    return f"{sentence}: NVML answers {codes.described(failure.code)}"


def _timeout_sentence(failure: Failure) -> str:
    sentence = f"The driver did not answer within {failure.seconds:g} s{_place(failure)}"
    if failure.unreaped:
        sentence += "; its process hangs in the kernel and cannot be killed"
    return sentence


def _place(failure: Failure) -> str:
    if not failure.call.startswith("nvml"):
        return ""
    where = "" if failure.gpu is None else f" of GPU {failure.gpu}"
    return f", in {failure.call}{where}"


def _evidence(failure: Failure, pci: tuple[PciGpu, ...] | None) -> dict[str, str]:
    evidence = {"failure": failure.kind.value, "call": failure.call}
    if failure.kind is FailureKind.CODE:
        evidence["code"] = str(failure.code)
    if failure.gpu is not None:
        evidence["gpu"] = str(failure.gpu)
    if pci is not None:
        evidence["pciGpus"] = str(len(pci))
    return evidence
