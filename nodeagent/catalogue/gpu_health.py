"""The checks of a GPU's memory, recovery and errors, and their reasons (node-agent.md §2)."""

from nodeagent.catalogue.model import Check, Reason
from nodeagent.findings import Outcome, SubjectKind

# --- gpu-health: each GPU; of several troubles the first in this order is named -----------------
GPU_HEALTHY = Reason("GpuHealthy", Outcome.PASS, "Nothing is wrong with the GPU's memory.")
GPU_RECOVERY_REQUIRED = Reason(
    "GpuRecoveryRequired",
    Outcome.FAIL,
    "The driver itself says that this GPU needs an action before it can be used "
    "(NVML field 230, recovery action).",
    "Drain the node, then {action}.",
)
GPU_DRAIN_ADVISED = Reason(
    "GpuDrainAdvised",
    Outcome.WARN,
    "The driver asks for peer-to-peer traffic of this GPU to be drained (recovery action 3).",
    "Move the GPU's pods away when it suits.",
)
GPU_ROW_REMAP_FAILED = Reason(
    "GpuRowRemapFailed",
    Outcome.FAIL,
    "A broken row of the GPU's memory could not be remapped.",
    "Drain the node and have the GPU replaced (RMA).",
)
GPU_ROWS_EXHAUSTED = Reason(
    "GpuRowsExhausted",
    Outcome.FAIL,
    "So many rows were remapped for uncorrectable errors that the GPU is due for replacement.",
    "Drain the node and have the GPU replaced (RMA).",
)
GPU_PAGES_EXHAUSTED = Reason(
    "GpuPagesExhausted",
    Outcome.FAIL,
    "So many pages of the GPU's memory were retired that it is due for replacement.",
    "Drain the node and have the GPU replaced (RMA).",
)
GPU_INFOROM_CORRUPTED = Reason(
    "GpuInforomCorrupted",
    Outcome.FAIL,
    "The GPU's infoROM is corrupted (NVML 14): its error records cannot be trusted.",
    "Drain the node and run `nvidia-smi -q -i {index}`; if it warns too, have the GPU replaced.",
)
GPU_ECC_UNCORRECTABLE = Reason(
    "GpuEccUncorrectable",
    Outcome.FAIL,
    "The GPU's memory had uncorrectable errors since the driver was loaded.",
    "Drain the node and run `nvidia-smi --gpu-reset -i {index}`; if errors come back, replace it.",
)
GPU_ECC_CONTAINED = Reason(
    "GpuEccContained",
    Outcome.WARN,
    "The GPU's memory had uncorrectable errors, and the driver says that no action is needed.",
    "Restart pods that failed on this GPU; reset it when the node is drained next.",
)
GPU_ROW_REMAP_PENDING = Reason(
    "GpuRowRemapPending",
    Outcome.WARN,
    "A row of the GPU's memory will be remapped at the next reset.",
    "Run `nvidia-smi --gpu-reset -i {index}` when the node is drained next.",
)
GPU_PAGE_RETIREMENT_PENDING = Reason(
    "GpuPageRetirementPending",
    Outcome.WARN,
    "A page of the GPU's memory will be retired at the next reset.",
    "Run `nvidia-smi --gpu-reset -i {index}` when the node is drained next.",
)
GPU_HEALTH_NOT_OFFERED = Reason(
    "GpuHealthNotOffered",
    Outcome.NOT_APPLICABLE,
    "This GPU or driver keeps no records of memory errors.",
)
GPU_NOT_ANSWERING = Reason(
    "GpuNotAnswering",
    Outcome.UNKNOWN,
    "The GPU does not answer; the check gpu-lost says how.",
    "See the check gpu-lost of this GPU.",
)
GPU_HEALTH = Check(
    "gpu-health",
    SubjectKind.GPU,
    "Is each GPU's memory sound, and does the driver ask for a recovery?",
    (
        GPU_RECOVERY_REQUIRED,
        GPU_ROW_REMAP_FAILED,
        GPU_ROWS_EXHAUSTED,
        GPU_PAGES_EXHAUSTED,
        GPU_INFOROM_CORRUPTED,
        GPU_ECC_UNCORRECTABLE,
        GPU_ECC_CONTAINED,
        GPU_ROW_REMAP_PENDING,
        GPU_PAGE_RETIREMENT_PENDING,
        GPU_DRAIN_ADVISED,
        GPU_HEALTHY,
        GPU_HEALTH_NOT_OFFERED,
        GPU_NOT_ANSWERING,
    ),
)

# --- gpu-xid: each GPU -------------------------------------------------------------------------
NO_XID = Reason(
    "NoXid", Outcome.PASS, "The driver announced no error of this GPU that still matters."
)
XID_APPLICATION = Reason(
    "XidApplication",
    Outcome.WARN,
    "A process on the GPU failed; the GPU is fine. Shown for ten minutes.",
    "Look for pods on this GPU that restarted; with XID 94, or 31 in the cache server, restart "
    "the engine's pod too.",
)
XID_CONFIGURATION = Reason(
    "XidConfiguration",
    Outcome.WARN,
    "The driver announced a fault of power, virtualisation or fabric configuration.",
    "Look up XID {xid} at https://docs.nvidia.com/deploy/xid-errors and follow it.",
)
XID_RESET = Reason(
    "XidReset",
    Outcome.FAIL,
    "The driver announced an error after which the GPU must be reset. It stays until the node "
    "boots, the driver asks for no recovery any more, or it is cleared.",
    "Drain the node and run `nvidia-smi --gpu-reset -i {index}`.",
)
XID_NVLINK = Reason(
    "XidNvlink",
    Outcome.FAIL,
    "The driver announced an NVLink error.",
    "Drain the node, run `nvidia-smi nvlink -e -i {index}` and reset the GPUs it connects.",
)
XID_REBOOT = Reason(
    "XidReboot",
    Outcome.FAIL,
    "The driver announced an error that only a reboot ends, as when a GPU fell off the bus.",
    "Drain the node and reboot it; if the error comes back, replace the GPU.",
)
XID_UNLISTED = Reason(
    "XidUnlisted",
    Outcome.WARN,
    "The driver announced an error for which NVIDIA's catalogue has no action.",
    "Run `nvidia-bug-report.sh` on the node and ask NVIDIA; when settled, clear it with "
    "`lmcache-node-agent clear --gpu {uuid}`.",
)
GPU_XID = Check(
    "gpu-xid",
    SubjectKind.GPU,
    "Has the driver announced an error of a GPU?",
    (
        NO_XID,
        XID_APPLICATION,
        XID_CONFIGURATION,
        XID_RESET,
        XID_NVLINK,
        XID_REBOOT,
        XID_UNLISTED,
    ),
)
