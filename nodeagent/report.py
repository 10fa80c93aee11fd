"""The reporter: tells the coordinator what is true, and takes over what should be."""

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from nodeagent.assignment import Assignment
from nodeagent.errors import ReportRefused
from nodeagent.node_report import Answer, Identity, NodeReport, node_report
from nodeagent.pacing import DEADLINE, Pacing
from nodeagent.state import NodeState

_LOG = logging.getLogger(__name__)


class Channel(Protocol):
    """What the reporter needs of a connection."""

    def send(self, report: NodeReport) -> Answer:
        """Send a report; raises ReportRefused."""

    def close(self) -> None:
        """Close the connection."""


@dataclass(frozen=True, slots=True)
class ReportStatistics:
    """How reporting goes. `last_success` is seconds since the epoch, 0 before the first.

    `cause` is why the last report did not arrive, "" when it did.
    """

    sent: int = 0
    failed: int = 0
    last_success: float = 0.0
    cause: str = ""


class Reporter:
    """Sends the state from a thread of its own."""

    def __init__(
        self,
        channel: Channel,
        *,
        state: NodeState,
        identity: Identity,
        on_assignment: Callable[[Assignment], None],
        chance: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._channel = channel
        self._state = state
        self._identity = identity
        self._on_assignment = on_assignment
        self._chance = chance or random.Random()  # noqa: S311 (spreads reports, guards nothing)
        self._clock = clock
        self._wall_clock = wall_clock
        self._condition = threading.Condition()
        self._changed_at: float | None = None
        self._stopped = False
        self._sequence = 0
        self._acknowledged = 0
        self._pacing = Pacing(due=clock(), counted_at=clock())
        self.statistics = ReportStatistics()
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the report under way."""
        with self._condition:
            self._stopped = True
            self._condition.notify()
        if self._thread.is_alive():
            self._thread.join(timeout=DEADLINE + 1.0)
        self._channel.close()

    def wake(self) -> None:
        """Say that something changed that the coordinator should hear at once."""
        with self._condition:
            if self._changed_at is None:
                self._changed_at = self._clock()
            self._condition.notify()

    def _run(self) -> None:
        while self._wait():
            try:
                self.report()
            except Exception:  # noqa: BLE001 (outermost loop: the next report must come)
                _LOG.exception("reporting failed")
                self._pacing = self._pacing.after_failure(self._clock(), chance=self._chance)

    def _wait(self) -> bool:
        with self._condition:
            while not self._stopped:
                now = self._clock()
                at = self._pacing.next_at(now, changed_at=self._changed_at)
                if at <= now:
                    self._changed_at = None
                    return True
                self._condition.wait(at - now)
        return False

    def report(self) -> None:
        """Send one report and take over its answer."""
        self._sequence += 1
        report = node_report(
            self._state.snapshot(),
            identity=self._identity,
            sequence=self._sequence,
            now=self._wall_clock(),
        )
        try:
            answer = self._channel.send(report)
        except ReportRefused as refused:
            self._note_failure(refused)
            return
        self._note_success(answer)
        if answer.assignment is not None and self._state.assign(answer.assignment):
            _LOG.info(
                "new assignment",
                extra={
                    "revision": answer.assignment.revision,
                    "engines": len(answer.assignment.engines),
                },
            )
            self._on_assignment(answer.assignment)

    def _note_failure(self, refused: ReportRefused) -> None:
        before = self.statistics
        if self._pacing.failures == 0 or refused.cause != before.cause:
            _LOG.warning("the coordinator cannot be reached", extra={"cause": str(refused)})
        self.statistics = ReportStatistics(
            before.sent, before.failed + 1, before.last_success, refused.cause
        )
        self._pacing = self._pacing.after_failure(self._clock(), chance=self._chance)

    def _note_success(self, answer: Answer) -> None:
        if self._pacing.failures or self.statistics.sent == 0:
            _LOG.info("the coordinator answers", extra={"sequence": self._sequence})
        before = self.statistics
        self.statistics = ReportStatistics(before.sent + 1, before.failed, self._wall_clock())
        self._acknowledged = max(self._acknowledged, answer.acknowledged_transition)
        self._pacing = self._pacing.after_success(
            self._clock(), pace=answer.next_report_after, chance=self._chance
        )
