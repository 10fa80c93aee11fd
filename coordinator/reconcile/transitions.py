"""Which changes of a status are worth an Event. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from coordinator.status import reasons

# A node that fails is worth an Event of its own; a hundred at once are worth a handful and a count.
MAX_NODE_EVENTS = 5

# Steps on the way that every engine takes: the condition shows them, an Event would be noise.
_PASSING = frozenset(
    reason.name
    for reason in (
        reasons.PENDING,
        reasons.DAEMON_SET_MISSING,
        reasons.ROLLING_OUT,
        reasons.INSTANCES_NOT_READY,
    )
)


@dataclass(frozen=True, slots=True)
class Transition:
    """An Event to post."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def transitions(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Transition]:
    """Yield the Events between two statuses of one engine."""
    yield from _ready(_condition(before, "Ready"), _condition(after, "Ready"))
    yield from _nodes(
        before.get("nodes") or (),
        after.get("nodes") or (),
        is_complete=not before.get("omittedNodes"),
    )


def _ready(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Transition]:
    was, now = before.get("status", "Unknown"), after.get("status", "Unknown")
    reason = after.get("reason", "")
    if now == "True":
        if was != "True":
            yield Transition("Normal", reasons.READY.name, after.get("message", ""))
    elif (was == "True" and reason != reasons.ROLLING_OUT.name) or (
        reason != before.get("reason") and reason not in _PASSING
    ):
        yield Transition("Warning", reason, after.get("message", ""))


def _nodes(before: Any, after: Any, *, is_complete: bool) -> Iterator[Transition]:
    known = {entry["name"]: entry for entry in before}
    failed, recovered = [], []
    for entry in after:
        was = known.get(entry["name"])
        if was is None:
            if not is_complete:
                # It may have been failing all along, beyond the end of the list.
                continue
            was = {}
        if entry["state"] == "Failing" and (
            was.get("state") != "Failing" or was.get("reason") != entry["reason"]
        ):
            failed.append(entry)
        elif entry["state"] == "Healthy" and was.get("state") in ("Failing", "Warning"):
            recovered.append(entry)
    for entry in failed[:MAX_NODE_EVENTS]:
        yield Transition("Warning", entry["reason"], f"Node {entry['name']}: {entry['message']}")
    if len(failed) > MAX_NODE_EVENTS:
        yield Transition(
            "Warning",
            reasons.NODES_FAILING.name,
            f"{len(failed) - MAX_NODE_EVENTS} more nodes fail; see status.nodes.",
        )
    for entry in recovered[:MAX_NODE_EVENTS]:
        yield Transition(
            "Normal", reasons.NODE_RECOVERED.name, f"Node {entry['name']} is healthy again."
        )


def _condition(status: Mapping[str, Any], type_: str) -> Mapping[str, Any]:
    for condition in status.get("conditions") or ():
        if condition.get("type") == type_:
            found: Mapping[str, Any] = condition
            return found
    return {}
