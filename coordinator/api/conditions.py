"""Conditions: one value type, and the one way to change a list of them.

Pure: the clock is an argument. `lastTransitionTime` moves only when `status` changes, so that it
answers "since when", not "last written".
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field

from coordinator.api.base import camel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

ConditionState = Literal["True", "False", "Unknown"]

# The order in which conditions are written: the verdict first, then what it rests on. Types that
# are not named here follow, sorted.
ORDER = (
    "Ready",
    "ConfigValid",
    "Available",
    "AllInstancesReady",
    "NodesHealthy",
    "GPUVisible",
    "SharedMemoryReady",
    "L1MemoryReady",
)

MESSAGE_LIMIT = 32768


@dataclass(frozen=True, slots=True)
class Condition:
    """One aspect of an engine's state, in the shape of metav1.Condition."""

    # For the CRD's schema only: a dataclass reads it, a value does not carry it.
    __pydantic_config__ = ConfigDict(alias_generator=camel, populate_by_name=True)

    type: Annotated[
        str,
        Field(
            min_length=1,
            max_length=316,
            pattern=r"^[A-Za-z]([-_.A-Za-z0-9]*[A-Za-z0-9])?$",
            description="Aspect that the condition is about, for example Ready.",
        ),
    ]
    status: Annotated[ConditionState, Field(description="Whether it holds: True, False, Unknown.")]
    reason: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1024,
            pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
            description="Why, as one CamelCase word; the documentation has a remedy for each.",
        ),
    ]
    message: Annotated[
        str,
        Field(
            max_length=MESSAGE_LIMIT,
            description="Why, with the facts and what to do.",
        ),
    ] = ""
    observed_generation: Annotated[
        int | None,
        Field(ge=0, description="Generation of the engine that the condition was judged for."),
    ] = None
    last_transition_time: Annotated[
        str,
        Field(
            max_length=64,
            description="When the status changed last.",
            json_schema_extra={"format": "date-time"},
        ),
    ] = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the condition as it stands in a manifest; what is not known is left out."""
        values = {camel(field.name): getattr(self, field.name) for field in _FIELDS}
        unknown = {"observedGeneration": None, "lastTransitionTime": ""}
        return {
            key: value
            for key, value in values.items()
            if key not in unknown or value != unknown[key]
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Condition:
        """Return the condition of a manifest. Missing text is empty, unknown keys are ignored.

        Raises:
            KeyError: type is missing.

        """
        status = raw.get("status")
        return cls(
            type=raw["type"],
            status=status if status in ("True", "False") else "Unknown",
            reason=raw.get("reason", ""),
            message=raw.get("message", ""),
            observed_generation=raw.get("observedGeneration"),
            last_transition_time=raw.get("lastTransitionTime", ""),
        )


_FIELDS = dataclasses.fields(Condition)


def timestamp(moment: datetime) -> str:
    """Return an aware moment as Kubernetes writes it, in UTC and whole seconds.

    Raises:
        ValueError: the moment has no time zone.

    """
    offset = moment.utcoffset()
    if offset is None:
        raise ValueError("a moment without a time zone is ambiguous")
    return (moment.replace(tzinfo=None) - offset).strftime("%Y-%m-%dT%H:%M:%SZ")


def set_condition(
    existing: Sequence[Condition], new: Condition, *, now: datetime
) -> tuple[Condition, ...]:
    """Return the conditions with `new` in the place of the one of its type, in the fixed order.

    The time of the last transition is kept while the status stays, and `now` when it changes; the
    one of `new` does not count.
    """
    before = find_condition(existing, new.type)
    same = before is not None and before.status == new.status and before.last_transition_time
    since = before.last_transition_time if before is not None and same else timestamp(now)
    placed = dataclasses.replace(
        new, message=new.message[:MESSAGE_LIMIT], last_transition_time=since
    )
    return ordered([*(item for item in existing if item.type != new.type), placed])


def find_condition(conditions: Iterable[Condition], type_: str) -> Condition | None:
    """Return the condition of that type, None if there is none."""
    return next((item for item in conditions if item.type == type_), None)


def ordered(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """Return the conditions in the order in which they are written."""

    def place(condition: Condition) -> tuple[int, str]:
        known = condition.type in ORDER
        return (ORDER.index(condition.type) if known else len(ORDER), condition.type)

    return tuple(sorted(conditions, key=place))
