"""The questions that the child asks about the driver and each GPU; each may go unanswered.

A question that the driver does not answer leaves its value out and its code under `failures`: an
older driver, a board without ECC or a lost GPU must not cost the answers of the others.
"""

import functools
from collections.abc import Callable
from typing import Any

import pynvml

from nodeagent.nvml import codes

Progress = Callable[[str, int | None], None]

# Not a code of NVML: the answer was not text.
_UNDECODABLE = -1


def driver(library_path: str, *, call: Callable[[str, Callable[[], Any]], Any]) -> dict[str, Any]:
    """Ask for the driver's versions."""
    return {
        "library_path": library_path,
        "driver_version": call("nvmlSystemGetDriverVersion", pynvml.nvmlSystemGetDriverVersion),
        "nvml_version": call("nvmlSystemGetNVMLVersion", pynvml.nvmlSystemGetNVMLVersion),
        "cuda_version": call(
            "nvmlSystemGetCudaDriverVersion", pynvml.nvmlSystemGetCudaDriverVersion
        ),
    }


def gpu(index: int, *, progress: Progress) -> dict[str, Any]:
    """Ask one GPU everything that a judgement uses."""
    failures: dict[str, int] = {}

    def ask(name: str, call: str, function: Callable[[], Any]) -> Any:
        progress(call, index)
        try:
            return function()
        except pynvml.NVMLError as error:
            failures[name] = int(error.value)
        except UnicodeDecodeError:
            failures[name] = _UNDECODABLE
        return None

    answers: dict[str, Any] = {"index": index, "failures": failures}
    handle = ask(
        "handle",
        "nvmlDeviceGetHandleByIndex",
        lambda: pynvml.nvmlDeviceGetHandleByIndex(index),
    )
    if handle is None:
        return answers
    for name, call, question in _QUESTIONS:
        answers[name] = ask(name, call, functools.partial(question, handle))
    return answers


def _memory(handle: Any) -> list[int]:
    # Version 1 counts the driver's reserve as used; version 2 needs a driver of 510 or later.
    try:
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
    except pynvml.NVMLError as error:
        if error.value not in codes.NOT_OFFERED:
            raise
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return [int(memory.total), int(memory.used)]


def _mig_enabled(handle: Any) -> bool:
    current, _pending = pynvml.nvmlDeviceGetMigMode(handle)
    return bool(current == pynvml.NVML_DEVICE_MIG_ENABLE)


def _uncorrectable_errors(handle: Any) -> int:
    return int(
        pynvml.nvmlDeviceGetTotalEccErrors(
            handle, pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC
        )
    )


def _remapped_rows(handle: Any) -> list[int]:
    return [int(value) for value in pynvml.nvmlDeviceGetRemappedRows(handle)]


def _retired_pages(handle: Any) -> list[int]:
    causes = (
        pynvml.NVML_PAGE_RETIREMENT_CAUSE_MULTIPLE_SINGLE_BIT_ECC_ERRORS,
        pynvml.NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR,
    )
    return [len(pynvml.nvmlDeviceGetRetiredPages(handle, cause)) for cause in causes]


def _retirement_pending(handle: Any) -> bool:
    return bool(pynvml.nvmlDeviceGetRetiredPagesPendingStatus(handle))


def _recovery_action(handle: Any) -> int:
    field = getattr(pynvml, "NVML_FI_DEV_GET_GPU_RECOVERY_ACTION", None)
    if field is None:
        raise pynvml.NVMLError(codes.FUNCTION_NOT_FOUND)
    (answer,) = pynvml.nvmlDeviceGetFieldValues(handle, [field])
    # The call as a whole succeeds even when the field failed.
    if answer.nvmlReturn != codes.SUCCESS:
        raise pynvml.NVMLError(answer.nvmlReturn)
    return int(answer.value.uiVal)


def _processes(handle: Any) -> list[list[int | None]]:
    running = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    return [[int(process.pid), process.usedGpuMemory] for process in running]


_QUESTIONS: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("uuid", "nvmlDeviceGetUUID", lambda handle: pynvml.nvmlDeviceGetUUID(handle)),
    ("model", "nvmlDeviceGetName", lambda handle: pynvml.nvmlDeviceGetName(handle)),
    ("pci_bus_id", "nvmlDeviceGetPciInfo", lambda h: pynvml.nvmlDeviceGetPciInfo(h).busId),
    ("memory", "nvmlDeviceGetMemoryInfo", _memory),
    ("mig_enabled", "nvmlDeviceGetMigMode", _mig_enabled),
    ("uncorrectable_errors", "nvmlDeviceGetTotalEccErrors", _uncorrectable_errors),
    ("remapped_rows", "nvmlDeviceGetRemappedRows", _remapped_rows),
    ("retired_pages", "nvmlDeviceGetRetiredPages", _retired_pages),
    ("retirement_pending", "nvmlDeviceGetRetiredPagesPendingStatus", _retirement_pending),
    ("recovery_action", "nvmlDeviceGetFieldValues", _recovery_action),
    ("processes", "nvmlDeviceGetComputeRunningProcesses", _processes),
)
