"""When a finding may change: failures at once, recoveries after they have held. Pure.

A GPU that comes and goes, or memory that hovers at a threshold, must not turn conditions on and
off: what was bad stays until it was good for several full rounds. Time does not enter; rounds do.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from nodeagent.findings import Finding, Outcome, Subject, SubjectKind

_Key = tuple[str, Subject]


@dataclass(frozen=True, slots=True)
class Held:
    """A finding as it stands, and how many good rounds speak against it."""

    finding: Finding
    revision: str
    good_rounds: int = 0


def hold(
    held: Held | None,
    seen: Finding,
    *,
    now: float,
    revision: str,
    full_round: bool,
    recovery_rounds: int,
) -> Held:
    """Return what stands after `seen` was judged under the assignment `revision`.

    `full_round` is False for looks out of turn, which do not count towards a recovery; `now` is
    seconds since the epoch and becomes `since` when the outcome changes, and only then.
    """
    if held is None:
        return Held(replace(seen, since=now), revision)
    standing = held.finding
    if seen.outcome is standing.outcome:
        return Held(replace(seen, since=standing.since), revision)
    if not _must_hold(held, seen, revision):
        return Held(replace(seen, since=now), revision)
    good_rounds = held.good_rounds + (1 if full_round else 0)
    if good_rounds >= recovery_rounds:
        return Held(replace(seen, since=now), revision)
    return replace(held, good_rounds=good_rounds)


def _must_hold(held: Held, seen: Finding, revision: str) -> bool:
    standing = held.finding.outcome
    if standing not in (Outcome.FAIL, Outcome.WARN) or seen.outcome.severity > standing.severity:
        return False
    if seen.outcome is Outcome.NOT_APPLICABLE:
        return False
    # The user changed the engine, so this is a new question and not a recovery.
    asked_anew = seen.subject.kind is SubjectKind.ENGINE and revision != held.revision
    return not asked_anew


def hold_all(
    held: Iterable[Held],
    seen: Iterable[Finding],
    *,
    now: float,
    revision: str,
    full_round: bool,
    recovery_rounds: int,
) -> dict[_Key, Held]:
    """Return what stands after a look; a subject that is no longer judged is dropped at once."""
    before = {each.finding.key: each for each in held}
    return {
        finding.key: hold(
            before.get(finding.key),
            finding,
            now=now,
            revision=revision,
            full_round=full_round,
            recovery_rounds=recovery_rounds,
        )
        for finding in seen
    }
