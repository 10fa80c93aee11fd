"""What the agent knows now: written by the runner, read by reporter, metrics and health page."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nodeagent.assignment import Assignment
from nodeagent.findings import Finding
from nodeagent.holding import Held, hold_all


@dataclass(frozen=True, slots=True)
class Look:
    """The last result of one probe."""

    findings: tuple[Finding, ...]
    facts: Any = None
    revision: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All results at one moment, consistent with each other."""

    looks: Mapping[str, Look] = field(default_factory=dict)
    assignment: Assignment = field(default_factory=Assignment)
    complete: bool = False

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, ordered by check, then subject."""
        everything = (finding for look in self.looks.values() for finding in look.findings)
        return tuple(sorted(everything, key=lambda each: (each.check, each.subject.identifier)))

    @property
    def revision(self) -> str:
        """The assignment that all findings were judged by; "" while they differ."""
        revisions = {look.revision for look in self.looks.values()}
        return revisions.pop() if len(revisions) == 1 else ""

    def facts(self, probe: str) -> Any:
        """Return what a probe last saw, or None."""
        look = self.looks.get(probe)
        return None if look is None else look.facts


class NodeState:
    """The one mutable place; every method may be called from any thread."""

    def __init__(
        self,
        *,
        probes: Iterable[str],
        recovery_rounds: int | None = None,
        wall_clock: Callable[[], float] = time.time,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._expected = frozenset(probes)
        self._recovery_rounds = recovery_rounds
        self._wall_clock = wall_clock
        self._on_change = on_change
        self._lock = threading.Lock()
        self._held: dict[str, tuple[Held, ...]] = {}
        self._looks: dict[str, Look] = {}
        self._assignment = Assignment()
        self._first_round = threading.Event()

    def on_change(self, callback: Callable[[], None]) -> None:
        """Set who is told, outside the lock, when an outcome or a reason has changed."""
        self._on_change = callback

    @property
    def assignment(self) -> Assignment:
        """What should be true on this node."""
        with self._lock:
            return self._assignment

    def assign(self, assignment: Assignment) -> bool:
        """Take over a new assignment; tell whether it is one."""
        with self._lock:
            is_new = assignment.revision != self._assignment.revision
            self._assignment = assignment
            return is_new

    def record(self, probe: str, look: Look, *, full_round: bool) -> None:
        """Take over what a probe found, through the holding."""
        with self._lock:
            thresholds = self._assignment.thresholds
            before = self._held.get(probe, ())
            held = hold_all(
                before,
                look.findings,
                now=self._wall_clock(),
                revision=look.revision,
                full_round=full_round,
                recovery_rounds=(
                    thresholds.recovery_rounds
                    if self._recovery_rounds is None
                    else self._recovery_rounds
                ),
            )
            self._held[probe] = tuple(held.values())
            findings = tuple(each.finding for each in held.values())
            self._looks[probe] = Look(findings, look.facts, look.revision, look.seconds)
            changed = _stand(before) != _stand(held.values())
            is_first = not self._first_round.is_set() and self._expected <= self._looks.keys()
        if is_first:
            self._first_round.set()
        if changed:
            self._on_change()

    def last_look(self, probe: str) -> Look | None:
        """Return what a probe found last, after holding."""
        with self._lock:
            return self._looks.get(probe)

    def snapshot(self) -> Snapshot:
        """Return everything at this moment."""
        with self._lock:
            return Snapshot(
                looks=dict(self._looks),
                assignment=self._assignment,
                complete=self._first_round.is_set(),
            )

    def wait_for_first_round(self, timeout: float) -> bool:
        """Wait until every probe has an answer; tell whether that came."""
        return self._first_round.wait(timeout)


def _stand(held: Iterable[Held]) -> dict[Any, tuple[Any, str]]:
    """Return what makes a change: outcomes and reasons, not the numbers in a message."""
    return {each.finding.key: (each.finding.outcome, each.finding.reason) for each in held}
