"""Which driver library this process has loaded, so that a simulated driver is visible as such."""

from pathlib import Path

_NAME = "libnvidia-ml.so"
_DELETED = " (deleted)"


def loaded_path(maps: Path = Path("/proc/self/maps")) -> str:
    """Return the path of the loaded NVML library, or "" while none is.

    Replaced on disk since it was loaded (a driver upgrade), the kernel appends ` (deleted)`.
    """
    try:
        text = maps.read_text(errors="replace")
    except OSError:
        return ""
    for line in text.splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and _NAME in fields[5].rpartition("/")[2]:
            return fields[5]
    return ""


def is_replaced(path: str) -> bool:
    """Tell whether the file that is mapped is no longer the one on disk."""
    return path.endswith(_DELETED)
