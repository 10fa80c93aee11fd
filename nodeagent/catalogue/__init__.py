"""Every check and every reason that the agent can give. The documentation is generated from it.

A reason has one outcome, so that its name alone says how urgent it is. A finding can only be made
through its check, and only with one of the check's reasons: the catalogue cannot drift.
"""

from nodeagent.catalogue.gpu import (
    GPU_COUNT,
    GPU_LOST,
    NVML,
)
from nodeagent.catalogue.gpu_health import GPU_HEALTH, GPU_XID
from nodeagent.catalogue.host import L1_MEMORY, SHARED_MEMORY
from nodeagent.catalogue.model import Check, Reason

CHECKS: tuple[Check, ...] = (
    NVML,
    GPU_COUNT,
    GPU_LOST,
    GPU_HEALTH,
    GPU_XID,
    SHARED_MEMORY,
    L1_MEMORY,
)

__all__ = [
    "CHECKS",
    "GPU_COUNT",
    "GPU_HEALTH",
    "GPU_LOST",
    "GPU_XID",
    "L1_MEMORY",
    "NVML",
    "SHARED_MEMORY",
    "Check",
    "Reason",
]
