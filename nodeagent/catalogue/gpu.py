"""The checks of the driver and the GPUs, and their reasons (node-agent.md §1, 2 and 4)."""

from nodeagent.catalogue.model import Check, Reason
from nodeagent.findings import Outcome, SubjectKind

# --- nvml: one subject, the node ---------------------------------------------------------------
NVML_ANSWERS = Reason(
    "NvmlAnswers", Outcome.PASS, "The driver's library is there and the driver answers in time."
)
NO_NVIDIA_DEVICE = Reason(
    "NoNvidiaDevice",
    Outcome.NOT_APPLICABLE,
    "The node has neither an NVIDIA device on its PCI bus nor a driver library: a CPU node.",
)
LIBRARY_NOT_FOUND = Reason(
    "LibraryNotFound",
    Outcome.FAIL,
    "The container runtime gave the agent, which runs as the cache servers do, no driver library "
    "(NVML 12): nothing was injected.",
    "Install the NVIDIA container toolkit on the node, and run with runtimeClassName nvidia "
    "and NVIDIA_VISIBLE_DEVICES=all.",
)
DRIVER_NOT_LOADED = Reason(
    "DriverNotLoaded",
    Outcome.FAIL,
    "The library is there but the NVIDIA kernel module is not loaded (NVML 9).",
    "Run `modprobe nvidia && nvidia-smi` on the node, or look at its driver pod.",
)
DRIVER_LIBRARY_MISMATCH = Reason(
    "DriverLibraryMismatch",
    Outcome.FAIL,
    "Library and kernel module are of different versions (NVML 18): the driver was upgraded "
    "while it was loaded.",
    "Drain and reboot the node (or reload the nvidia module), then restart its GPU pods.",
)
NVML_NO_PERMISSION = Reason(
    "NoPermission",
    Outcome.UNKNOWN,
    "The driver refuses the agent (NVML 4): the mode of /dev/nvidia* or a missing capability.",
    "Look at `ls -l /dev/nvidia*` on the node: mode 0666 is the default (NVreg_DeviceFileMode).",
)
DRIVER_TIMEOUT = Reason(
    "DriverTimeout",
    Outcome.FAIL,
    "The driver did not answer within the deadline: it hangs, and CUDA calls will hang too.",
    "Drain and reboot the node.",
)
DRIVER_UNKNOWN_ERROR = Reason(
    "DriverUnknownError",
    Outcome.FAIL,
    "The driver answers UNKNOWN (NVML 999), most often because the container lost its devices "
    "when systemd reloaded (nvidia-container-toolkit #48).",
    "Restart this agent's pod and every GPU pod of the node; then let the toolkit make the "
    "/dev/char links: `nvidia-ctk system create-dev-char-symlinks --create-all`.",
)
NVML_ERROR = Reason(
    "NvmlError",
    Outcome.UNKNOWN,
    "The driver answered with a code that says nothing definite about the node.",
    "Run `nvidia-smi` on the node and compare.",
)
NVML_PROCESS_DIED = Reason(
    "NvmlProcessDied",
    Outcome.UNKNOWN,
    "The process in which the agent loads the driver's library ended, as it does when the "
    "library is overwritten by a driver upgrade. The agent starts another.",
    "If it stays, run `nvidia-smi` on the node and look at the agent's log.",
)
NVML = Check(
    "nvml",
    SubjectKind.NODE,
    "Does the NVIDIA driver answer?",
    (
        NVML_ANSWERS,
        NO_NVIDIA_DEVICE,
        LIBRARY_NOT_FOUND,
        DRIVER_NOT_LOADED,
        DRIVER_LIBRARY_MISMATCH,
        NVML_NO_PERMISSION,
        DRIVER_TIMEOUT,
        DRIVER_UNKNOWN_ERROR,
        NVML_ERROR,
        NVML_PROCESS_DIED,
    ),
)

NVML_UNAVAILABLE = Reason(
    "NvmlUnavailable",
    Outcome.UNKNOWN,
    "The driver gives no answer about GPUs at all; the check nvml says why.",
    "See the check nvml of this node.",
)

# --- gpu-count: the node -----------------------------------------------------------------------
GPU_COUNT_MATCHES = Reason(
    "GpuCountMatches", Outcome.PASS, "Every GPU of the node is visible to its GPU pods."
)
GPU_MISSING = Reason(
    "GpuMissing",
    Outcome.FAIL,
    "The driver shows fewer GPUs than the PCI bus has, or than Kubernetes promises.",
    "Run `nvidia-smi -L` on the node: if all are there, set NVIDIA_VISIBLE_DEVICES=all; if not, "
    "drain and reboot the node.",
)
NO_GPU = Reason(
    "NoGpu",
    Outcome.FAIL,
    "An engine runs on a node that has no NVIDIA GPU.",
    'Keep the engine off this node: spec.nodeSelector nvidia.com/gpu.present: "true".',
)
NO_GPU_EXPECTED = Reason(
    "NoGpuExpected", Outcome.NOT_APPLICABLE, "The node has no GPU and no engine."
)
GPU_COUNT = Check(
    "gpu-count",
    SubjectKind.NODE,
    "Are all GPUs of the node visible?",
    (GPU_COUNT_MATCHES, GPU_MISSING, NO_GPU, NO_GPU_EXPECTED, NVML_UNAVAILABLE),
)

# --- gpu-lost: each GPU ------------------------------------------------------------------------
GPU_ANSWERS = Reason("GpuAnswers", Outcome.PASS, "The GPU answers.")
GPU_IS_LOST = Reason(
    "GpuLost",
    Outcome.FAIL,
    "The GPU fell off the bus (NVML 15, often with XID 79).",
    "Drain the node and reboot it; if the GPU comes back lost, replace it.",
)
GPU_RESET_REQUIRED = Reason(
    "GpuResetRequired",
    Outcome.FAIL,
    "The driver refuses to use the GPU before it has been reset (NVML 16).",
    "Drain the node and run `nvidia-smi --gpu-reset -i {index}`, or reboot it.",
)
GPU_VANISHED = Reason(
    "GpuVanished",
    Outcome.FAIL,
    "The driver listed this GPU since the agent started, and does not any more.",
    "Drain the node and reboot it; restart the agent if the GPU was taken out on purpose.",
)
GPU_NO_PERMISSION = Reason(
    "GpuNoPermission",
    Outcome.UNKNOWN,
    "The driver refuses the agent this one GPU (NVML 4).",
    "Look at `ls -l /dev/nvidia*` on the node, and at the node's MIG settings.",
)
GPU_ERROR = Reason(
    "GpuError",
    Outcome.WARN,
    "The driver cannot open this GPU and gives an error that says nothing definite.",
    "Run `nvidia-smi -i {index} -q` on the node; if it fails too, drain and reboot the node.",
)
GPU_LOST = Check(
    "gpu-lost",
    SubjectKind.GPU,
    "Does each GPU still answer?",
    (
        GPU_ANSWERS,
        GPU_IS_LOST,
        GPU_RESET_REQUIRED,
        GPU_VANISHED,
        GPU_NO_PERMISSION,
        GPU_ERROR,
        NVML_UNAVAILABLE,
    ),
)
