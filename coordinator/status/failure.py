"""What a failure policy returns. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.status.reasons import Reason


@dataclass(frozen=True, slots=True)
class Failure:
    """Why pods are not ready. `is_hopeless`: none is, and waiting cannot mend it."""

    reason: Reason
    message: str
    is_hopeless: bool = False
