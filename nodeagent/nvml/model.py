"""What NVML said, as values that know nothing about how they were asked for."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from nodeagent.nvml import codes

# Values of field 230, NVML_FI_DEV_GET_GPU_RECOVERY_ACTION, that a reset answers: 1 reset,
# 4 drain and reset, 6 bus reset.
RECOVERY_BY_RESET = frozenset({1, 4, 6})


@dataclass(frozen=True, slots=True)
class Driver:
    """The loaded library and the driver behind it.

    `cuda_version` counts as NVML does (12040 is CUDA 12.4; 0 when it does not say).
    """

    library_path: str = ""
    driver_version: str = ""
    nvml_version: str = ""
    cuda_version: int = 0


@dataclass(frozen=True, slots=True)
class RemappedRows:
    """Counts of remapped memory rows and the driver's two verdicts on them (Ampere and later)."""

    correctable: int
    uncorrectable: int
    pending: bool
    failed: bool


@dataclass(frozen=True, slots=True)
class RetiredPages:
    """Counts of memory pages that were retired, by cause (before Ampere)."""

    single_bit: int
    double_bit: int


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process with a context on a GPU; `used_memory` is None where the driver hides it."""

    pid: int
    used_memory: int | None


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as the driver shows it; sizes are bytes.

    None means that the driver did not answer this question; `failures` then has the code under
    the question's name.
    """

    index: int
    uuid: str | None = None
    model: str | None = None
    pci_bus_id: str | None = None
    memory_total: int | None = None
    memory_used: int | None = None
    mig_enabled: bool | None = None
    uncorrectable_errors: int | None = None
    remapped_rows: RemappedRows | None = None
    retired_pages: RetiredPages | None = None
    retirement_pending: bool | None = None
    recovery_action: int | None = None
    processes: tuple[GpuProcess, ...] | None = None
    failures: Mapping[str, int] = field(default_factory=dict)

    @property
    def fatal_code(self) -> int | None:
        """The code that says that this GPU is gone, from whichever call it came."""
        seen = set(self.failures.values())
        for code in (codes.GPU_IS_LOST, codes.RESET_REQUIRED):
            if code in seen:
                return code
        return self.failures.get("handle")


@dataclass(frozen=True, slots=True)
class Reading:
    """One complete reading of all GPUs."""

    driver: Driver
    gpus: tuple[Gpu, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a GPU announced itself; `data` is the XID of a critical error."""

    uuid: str
    kind: str
    data: int


class FailureKind(enum.Enum):
    """How NVML failed as a whole."""

    CODE = "code"
    TIMEOUT = "timeout"
    DIED = "died"


@dataclass(frozen=True, slots=True)
class Failure:
    """NVML gave no reading: an error code, no answer within the deadline, or a dead child.

    `call` is the NVML function that was running; `gpu` the index it was about; `unreaped` says
    that the child could not even be killed, which means that it hangs inside the kernel.
    """

    kind: FailureKind
    call: str = ""
    code: int = 0
    gpu: int | None = None
    seconds: float = 0.0
    unreaped: bool = False
    detail: str = ""
