"""Rounds: every probe in a thread of its own, so that a slow one never holds up the others.

A probe that is past its deadline is not interrupted (a thread cannot be) and not started twice:
its checks are unknown until it returns.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from nodeagent.catalogue.model import PROBE_FAILED, PROBE_TIMEOUT, Reason
from nodeagent.findings import NODE, Finding
from nodeagent.probes import Probe
from nodeagent.state import Look, NodeState

_LOG = logging.getLogger(__name__)

# How long a look out of turn waits for more causes to come, so that one does for all.
_IDLE_WAIT = 60.0


class Worker:
    """One probe and its thread."""

    def __init__(
        self,
        probe: Probe,
        *,
        state: NodeState,
        on_start: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.probe = probe
        self._on_start = on_start
        self._state = state
        self._clock = clock
        self._condition = threading.Condition()
        self._wanted = False
        self._full_round = False
        self._started: float | None = None
        self._late = False
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name=f"probe-{probe.name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end after what it is doing; a stuck probe is left behind."""
        with self._condition:
            self._stopped = True
            self._condition.notify()

    def request(self, *, full_round: bool) -> None:
        """Ask for a look as soon as the one under way, if any, has ended."""
        with self._condition:
            self._wanted = True
            self._full_round |= full_round
            self._condition.notify()

    def overdue_at(self) -> float | None:
        """Return when the look under way must have ended; None without one, or once it is late."""
        with self._condition:
            if self._started is None or self._late:
                return None
            return self._started + self.probe.deadline

    def expire(self, now: float) -> bool:
        """Record the look under way as late, if it is; tell whether it was."""
        with self._condition:
            is_late = (
                self._started is not None
                and not self._late
                and now >= self._started + self.probe.deadline
            )
            if not is_late:
                return False
            self._late = True
        self._record_unknown(PROBE_TIMEOUT, f"gave no answer within {self.probe.deadline:g} s")
        return True

    def _work(self) -> None:
        while True:
            with self._condition:
                while not self._wanted and not self._stopped:
                    self._condition.wait(_IDLE_WAIT)
                if self._stopped:
                    return
                full_round, self._wanted, self._full_round = self._full_round, False, False
                self._started, self._late = self._clock(), False
            self._on_start()
            self._look(full_round=full_round)
            with self._condition:
                self._started = None

    def _look(self, *, full_round: bool) -> None:
        assignment = self._state.assignment
        started = self._clock()
        try:
            facts = self.probe.observe(assignment)
            findings = self.probe.judge(facts, assignment)
        except Exception:  # noqa: BLE001 (outermost loop: it must answer next time)
            _LOG.exception("a probe failed", extra={"probe": self.probe.name})
            self._record_unknown(PROBE_FAILED, "failed; the agent's log says why")
            return
        seconds = self._clock() - started
        look = Look(findings, facts, assignment.revision, seconds)
        self._state.record(self.probe.name, look, full_round=full_round)

    def _record_unknown(self, reason: Reason, what: str) -> None:
        """Make every answer of this probe unknown, about the subjects that it had."""
        last = self._state.last_look(self.probe.name)
        subjects = {each.name: [NODE] for each in self.probe.checks}
        for finding in () if last is None else last.findings:
            subjects[finding.check] = [
                *(each for each in subjects[finding.check] if each != NODE),
                finding.subject,
            ]
        findings: list[Finding] = [
            check.finding(reason, subject, f"The probe {self.probe.name} {what}")
            for check in self.probe.checks
            for subject in subjects[check.name]
        ]
        facts: Any = None
        look = Look(tuple(findings), facts, self._state.assignment.revision)
        self._state.record(self.probe.name, look, full_round=False)


class Runner:
    """Starts a round at each interval and looks after deadlines in between."""

    def __init__(
        self,
        probes: Iterable[Probe],
        *,
        state: NodeState,
        interval: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # Set to have the runner look at its duties: a worker has a deadline now, or all is over.
        self._awake = threading.Event()
        self._workers = {
            probe.name: Worker(probe, state=state, on_start=self._awake.set, clock=clock)
            for probe in probes
        }
        self._interval = interval
        self._clock = clock
        self._stopped = False
        self._alive_at = clock()
        self._thread = threading.Thread(target=self._run, name="runner", daemon=True)

    def start(self) -> None:
        """Start the probes' threads and the first round."""
        for worker in self._workers.values():
            worker.start()
        self._thread.start()

    def stop(self) -> None:
        """End the rounds."""
        self._stopped = True
        self._awake.set()
        for worker in self._workers.values():
            worker.stop()

    def look_now(self, *names: str) -> None:
        """Have these probes (all of them, when none is named) look out of turn."""
        for name in names or self._workers:
            self._workers[name].request(full_round=False)

    def stalled_seconds(self) -> float:
        """Return for how long the runner has been silent beyond what is due; 0 when it is well."""
        return max(0.0, self._clock() - self._alive_at - self._interval)

    def _run(self) -> None:
        next_round = self._clock()
        while not self._stopped:
            self._awake.clear()
            now = self._clock()
            self._alive_at = now
            if now >= next_round:
                for worker in self._workers.values():
                    worker.request(full_round=True)
                next_round = max(next_round + self._interval, now)
            for worker in self._workers.values():
                if worker.expire(now):
                    _LOG.warning("a probe is late", extra={"probe": worker.probe.name})
            overdue = [worker.overdue_at() for worker in self._workers.values()]
            next_wake = min([next_round, *(due for due in overdue if due is not None)])
            if not self._stopped:
                self._awake.wait(max(0.0, next_wake - self._clock()))
