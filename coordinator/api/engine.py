"""One LMCacheEngine as the rest of the coordinator handles it: identity and parsed spec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coordinator.api.spec import EngineSpec

from coordinator.api.v1alpha1 import API_VERSION, KIND


@dataclass(frozen=True, slots=True)
class Engine:
    """Identity and spec of an engine whose spec has passed validation."""

    namespace: str
    name: str
    uid: str
    generation: int
    spec: EngineSpec

    def owner_reference(self) -> dict[str, Any]:
        """Return what makes a child of this engine go when the engine goes.

        It does not set blockOwnerDeletion: OpenShift's admission would then ask the operator for
        the right to update finalizers of engines.
        """
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
        }
