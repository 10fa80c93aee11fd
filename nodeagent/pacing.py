"""When to report: at the coordinator's pace, at once on a change, later after a failure. Pure."""

import random
from dataclasses import dataclass

# A report that is not answered within this did not arrive.
DEADLINE = 5.0
# Until the coordinator has said its own.
FIRST_PACE = 10.0
# Whatever an answer says, an agent neither floods nor falls silent.
_PACE_BOUNDS = (1.0, 300.0)
_SPREAD = 0.2

_FIRST_BACK_OFF = 1.0
_BACK_OFF_FACTOR = 1.6
_LONGEST_BACK_OFF = 30.0

# Changes: one report a second, five at once.
_RATE = 1.0
# The probes of a round end within milliseconds of each other: one report for all of them.
_SETTLE = 0.05
_BURST = 5.0


@dataclass(frozen=True, slots=True)
class Pacing:
    """Where the reporter stands; times are seconds of one monotonic clock.

    `tokens` allow reports that a change asks for; `failures` counts the reports in succession
    that did not arrive.
    """

    due: float
    pace: float = FIRST_PACE
    failures: int = 0
    tokens: float = _BURST
    counted_at: float = 0.0

    def next_at(self, now: float, *, changed_at: float | None) -> float:
        """Return when the next report goes out; `changed_at` is when a change was first seen."""
        if changed_at is None or self.failures:
            # A coordinator that cannot answer is not helped by more reports.
            return self.due
        tokens = self._tokens(now)
        allowed = now if tokens >= 1 else now + (1 - tokens) / _RATE
        return min(self.due, max(allowed, changed_at + _SETTLE))

    def after_success(self, now: float, *, pace: float | None, chance: random.Random) -> "Pacing":
        """Return where the reporter stands after a report that arrived."""
        low, high = _PACE_BOUNDS
        pace = self.pace if pace is None or pace <= 0 else min(max(pace, low), high)
        due = now + pace * chance.uniform(1 - _SPREAD, 1 + _SPREAD)
        return Pacing(due=due, pace=pace, tokens=self._tokens(now) - 1, counted_at=now)

    def after_failure(self, now: float, *, chance: random.Random) -> "Pacing":
        """Return where the reporter stands after a report that did not arrive."""
        longest = min(_FIRST_BACK_OFF * _BACK_OFF_FACTOR**self.failures, _LONGEST_BACK_OFF)
        # Half of it is certain, so that no agent hammers; half is chance, so that they spread.
        wait = longest * chance.uniform(0.5, 1.0)
        return Pacing(
            due=now + wait,
            pace=self.pace,
            failures=min(self.failures + 1, 32),
            tokens=self._tokens(now) - 1,
            counted_at=now,
        )

    def _tokens(self, now: float) -> float:
        return min(_BURST, max(0.0, self.tokens + (now - self.counted_at) * _RATE))
