"""The resources of the cache server's container."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from coordinator.render.manifest import as_given

if TYPE_CHECKING:
    from coordinator.api.spec import EngineSpec

# What the server needs besides L1: measured about 0.8 GiB when idle; the rest is for staging
# buffers, CUDA contexts and the L2 adapters.
_OVERHEAD_GIB = 5
_CPU_REQUEST = "4"


def resources(spec: EngineSpec) -> dict[str, Any]:
    """Return the user's own resources, wholly, or those computed from the size of L1.

    Never a GPU: a GPU that the cache server claims is one that vLLM cannot have.
    """
    if spec.resource_overrides is not None:
        return dict(as_given(spec.resource_overrides))
    request = math.ceil(spec.l1.size_gb + _OVERHEAD_GIB)
    # 1.5 times the request, rounded up, without floating point.
    limit = (3 * request + 1) // 2
    return {
        "requests": {"cpu": _CPU_REQUEST, "memory": f"{request}Gi"},
        "limits": {"memory": f"{limit}Gi"},
    }
