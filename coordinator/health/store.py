"""The last report of every node, and when a node counts as silent. The clock is injected."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from coordinator.health.model import NodeReport

# Pace: at most 200 calls a second in all, no faster than needed, no slower than half a minute.
# The shape is Nomad's server-side pacing of heartbeats.
CALLS_PER_SECOND = 200
FASTEST_SECONDS = 10.0
SLOWEST_SECONDS = 30.0
SILENT_INTERVALS = 3
SILENCE_SLACK_SECONDS = 5.0


def pace(nodes: int, *, fastest: float = FASTEST_SECONDS) -> float:
    """Return the seconds between two reports of one agent when `nodes` agents call."""
    return max(fastest, min(math.ceil(nodes / CALLS_PER_SECOND), SLOWEST_SECONDS))


@dataclass(slots=True)
class _Entry:
    report: NodeReport
    heard: float
    heard_at: datetime
    interval: float
    is_silent: bool = False


class ReportStore:
    """Keeps one report a node. Not linear in what did not change: a heartbeat touches one entry.

    `on_change(node)` is called when a report means something new, when a node falls silent, and
    when it speaks again: never for a heartbeat.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        on_change: Callable[[str], None] = lambda _node: None,
        fastest_seconds: float = FASTEST_SECONDS,
    ) -> None:
        self._clock = clock
        self._now = now
        self._on_change = on_change
        self._fastest = fastest_seconds
        self._entries: dict[str, _Entry] = {}
        self._started = clock()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def uptime(self) -> float:
        """Return how long this store has been listening, in seconds."""
        return self._clock() - self._started

    @property
    def interval(self) -> float:
        """Return the seconds after which an agent should call again."""
        return pace(len(self._entries), fastest=self._fastest)

    def put(self, report: NodeReport) -> bool:
        """Take in a report; returns False for one that is older than what is known."""
        now = self._clock()
        entry = self._entries.get(report.node)
        if entry is None:
            self._entries[report.node] = _Entry(report, now, self._now(), self.interval)
            self._on_change(report.node)
            return True
        known = entry.report
        if (
            known.agent_instance == report.agent_instance
            and known.boot_id == report.boot_id
            and report.sequence <= known.sequence
        ):
            return False
        is_news = entry.is_silent or report.meaning() != known.meaning()
        # A heartbeat's sentences may carry other numbers than before. They are kept, but wake
        # nobody: a status shows them with its next real change.
        entry.report = report
        entry.heard = now
        entry.heard_at = self._now()
        entry.interval = self.interval
        entry.is_silent = False
        if is_news:
            self._on_change(report.node)
        return True

    def report(self, node: str) -> NodeReport | None:
        """Return the last report of a node."""
        entry = self._entries.get(node)
        return entry.report if entry else None

    def silent_since(self, node: str) -> datetime | None:
        """Return when a node that has been silent for too long spoke last, else None."""
        entry = self._entries.get(node)
        return entry.heard_at if entry is not None and entry.is_silent else None

    def mark_silent(self) -> float:
        """Find nodes that have fallen silent; returns the seconds until the next one could."""
        now = self._clock()
        soonest = self.interval
        for node, entry in self._entries.items():
            if entry.is_silent:
                continue
            left = entry.heard + SILENT_INTERVALS * entry.interval + SILENCE_SLACK_SECONDS - now
            if left <= 0:
                entry.is_silent = True
                self._on_change(node)
            else:
                soonest = min(soonest, left)
        return soonest

    def forget(self, node: str) -> None:
        """Drop a node that left the cluster."""
        self._entries.pop(node, None)

    def nodes(self) -> list[str]:
        """Return the names of all nodes that ever reported and have not left."""
        return list(self._entries)
