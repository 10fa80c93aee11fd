"""NVML's return codes, as far as the agent tells them apart (nvml.h, nvmlReturn_t).

Kept here as plain numbers, so that the parent never imports pynvml: an import there would be one
step from loading a library whose state sticks to the process.
"""

SUCCESS = 0
NOT_SUPPORTED = 3
NO_PERMISSION = 4
NOT_FOUND = 6
DRIVER_NOT_LOADED = 9
TIMEOUT = 10
LIBRARY_NOT_FOUND = 12
FUNCTION_NOT_FOUND = 13
CORRUPTED_INFOROM = 14
GPU_IS_LOST = 15
RESET_REQUIRED = 16
LIB_RM_VERSION_MISMATCH = 18
ARGUMENT_VERSION_MISMATCH = 25
UNKNOWN = 999

# The library remembers these for as long as the process lives (glibc even remembers a library
# directory that did not exist at the first search), so only a new process can see them mended.
NEEDS_NEW_PROCESS = frozenset(
    {DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND, LIB_RM_VERSION_MISMATCH, UNKNOWN}
)

# "This driver or board has no such thing": the value is absent, nothing is wrong.
NOT_OFFERED = frozenset({NOT_SUPPORTED, FUNCTION_NOT_FOUND, ARGUMENT_VERSION_MISMATCH})

_NAMES = {
    1: "UNINITIALIZED",
    2: "INVALID_ARGUMENT",
    NOT_SUPPORTED: "NOT_SUPPORTED",
    NO_PERMISSION: "NO_PERMISSION",
    NOT_FOUND: "NOT_FOUND",
    DRIVER_NOT_LOADED: "DRIVER_NOT_LOADED",
    TIMEOUT: "TIMEOUT",
    LIBRARY_NOT_FOUND: "LIBRARY_NOT_FOUND",
    FUNCTION_NOT_FOUND: "FUNCTION_NOT_FOUND",
    CORRUPTED_INFOROM: "CORRUPTED_INFOROM",
    GPU_IS_LOST: "GPU_IS_LOST",
    RESET_REQUIRED: "RESET_REQUIRED",
    LIB_RM_VERSION_MISMATCH: "LIB_RM_VERSION_MISMATCH",
    ARGUMENT_VERSION_MISMATCH: "ARGUMENT_VERSION_MISMATCH",
    27: "NOT_READY",
    28: "GPU_NOT_FOUND",
    UNKNOWN: "UNKNOWN",
}


def described(code: int) -> str:
    """Return a code the way people search for it: `GPU_IS_LOST (15)`."""
    return f"{_NAMES.get(code, 'error')} ({code})"
