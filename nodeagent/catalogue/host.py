"""The checks of what engines and host share, and their reasons (node-agent.md §5 and 6)."""

from nodeagent.catalogue.model import Check, Reason
from nodeagent.findings import Outcome, SubjectKind

ENGINE_NOT_STARTED = Reason(
    "EngineNotStarted",
    Outcome.NOT_APPLICABLE,
    "The engine's container does not run on this node yet; the pod's own state says why.",
)
ENGINE_PROCESS_NOT_FOUND = Reason(
    "EngineProcessNotFound",
    Outcome.UNKNOWN,
    "The engine's container runs, and the agent finds no process of it.",
    "Check that the node agent's pod has hostPID: true.",
)

# --- shared-memory: each engine ----------------------------------------------------------------
SHARED = Reason(
    "SharedMemoryShared", Outcome.PASS, "The engine's process sees the host's /dev/shm."
)
PRIVATE = Reason(
    "SharedMemoryPrivate",
    Outcome.FAIL,
    "The engine's process has a /dev/shm of its own, so no vLLM pod can share memory with it. "
    "The same IPC namespace does not help: the mount decides.",
    "{mend}",
)
ISOLATED_IPC = Reason(
    "IsolatedIpc",
    Outcome.NOT_APPLICABLE,
    "With isolatedIPC nothing is shared through /dev/shm (LMCache #4807).",
)
SHARED_MEMORY = Check(
    "shared-memory",
    SubjectKind.ENGINE,
    "Does the engine's process see the host's /dev/shm?",
    (SHARED, PRIVATE, ISOLATED_IPC, ENGINE_NOT_STARTED, ENGINE_PROCESS_NOT_FOUND),
)

# --- l1-memory: each engine --------------------------------------------------------------------
FITS = Reason("L1MemoryFits", Outcome.PASS, "All of L1 fits into what the node has left.")
TIGHT = Reason(
    "L1MemoryTight",
    Outcome.WARN,
    "L1 fits, but with little to spare: another pod's growth can make the kubelet evict.",
    "Free memory on the node, or lower spec.l1.sizeGB by {lower} or more.",
)
SHORT = Reason(
    "L1MemoryShort",
    Outcome.FAIL,
    "The node cannot hold all of L1. The server pins it whole within seconds of its start, "
    '"lazy" or not (LMCache #3326), so it or a neighbour will be evicted or killed.',
    "Set spec.l1.sizeGB to {fits} or less, or free memory on the node.",
)
NO_ROOM = Reason(
    "L1MemoryNoRoom",
    Outcome.FAIL,
    "The node cannot hold even 1 GiB of L1 beside the server.",
    "Free memory on the node, or keep the engine off it with spec.nodeSelector.",
)
LIMIT_TOO_LOW = Reason(
    "L1MemoryLimitTooLow",
    Outcome.FAIL,
    "The container's memory limit is below what L1 and the server need: it will be OOM-killed.",
    "Raise the engine's memory limit to {need} or more, or lower spec.l1.sizeGB to match it.",
)
SHARED_MEMORY_TOO_SMALL = Reason(
    "L1SharedMemoryTooSmall",
    Outcome.FAIL,
    "L1 is kept in /dev/shm and does not fit there. The server falls back to copying, with one "
    "warning in its log.",
    "Remount the node's /dev/shm larger, or lower spec.l1.sizeGB by {lower} or more.",
)
HUGEPAGES_SHORT = Reason(
    "L1HugepagesShort",
    Outcome.FAIL,
    "L1 is to use huge pages and the node has too few free ones.",
    "Raise vm.nr_hugepages on the node, or lower spec.l1.sizeGB by {lower} or more.",
)
L1_MEMORY = Check(
    "l1-memory",
    SubjectKind.ENGINE,
    "Is there memory for all of L1?",
    (
        FITS,
        TIGHT,
        SHORT,
        NO_ROOM,
        LIMIT_TOO_LOW,
        SHARED_MEMORY_TOO_SMALL,
        HUGEPAGES_SHORT,
        ENGINE_PROCESS_NOT_FOUND,
    ),
)
