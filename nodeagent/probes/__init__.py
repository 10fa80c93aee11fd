"""The probe framework: a probe looks (`observe`, effects) and then judges (`judge`, pure)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nodeagent.assignment import Assignment
from nodeagent.catalogue import Check
from nodeagent.findings import Finding


@dataclass(frozen=True, slots=True)
class Probe:
    """One subject of observation, run in a thread of its own.

    `observe` may block; past `deadline` seconds its checks are unknown until it returns. Its
    facts are shown in the metrics and judged by `judge`, which reads no clock and does no I/O.
    """

    name: str
    checks: tuple[Check, ...]
    deadline: float
    observe: Callable[[Assignment], Any]
    judge: Callable[[Any, Assignment], tuple[Finding, ...]]
