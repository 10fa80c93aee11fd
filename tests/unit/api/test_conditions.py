"""Conditions: the time of the last transition, the order, and the way to manifests and back."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from coordinator.api.conditions import (
    MESSAGE_LIMIT,
    ORDER,
    Condition,
    ConditionState,
    find_condition,
    ordered,
    set_condition,
    timestamp,
)

THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NOW = THEN + timedelta(hours=1)


def condition(
    type_: str = "Ready",
    status: ConditionState = "True",
    reason: str = "Because",
    **fields: Any,
) -> Condition:
    return Condition(type=type_, status=status, reason=reason, **fields)


def test_a_new_condition_begins_now():
    (found,) = set_condition((), condition(), now=NOW)

    assert found.last_transition_time == "2026-01-02T04:04:05Z"


@pytest.mark.parametrize(
    "change",
    [
        {"reason": "Other"},
        {"message": "other"},
        {"observed_generation": 7},
        {"last_transition_time": "1999-01-01T00:00:00Z"},
        {},
    ],
    ids=str,
)
def test_the_transition_time_stays_while_the_status_stays(change):
    existing = set_condition((), condition(), now=THEN)

    (found,) = set_condition(existing, condition(**change), now=NOW)

    assert found.last_transition_time == timestamp(THEN)


@pytest.mark.parametrize("status", ["False", "Unknown"])
def test_the_transition_time_moves_with_the_status(status):
    existing = set_condition((), condition(), now=THEN)

    (found,) = set_condition(existing, condition(status=status), now=NOW)

    assert (found.status, found.last_transition_time) == (status, timestamp(NOW))


def test_everything_but_the_transition_time_is_the_new_one():
    existing = set_condition((), condition(message="old", observed_generation=1), now=THEN)

    (found,) = set_condition(
        existing, condition(reason="New", message="new", observed_generation=2), now=NOW
    )

    assert (found.reason, found.message, found.observed_generation) == ("New", "new", 2)


def test_a_condition_without_a_time_begins_now():
    (found,) = set_condition((condition(),), condition(), now=NOW)

    assert found.last_transition_time == timestamp(NOW)


def test_other_conditions_are_left_alone_and_the_input_is_not_changed():
    existing = set_condition((), condition("ConfigValid"), now=THEN)

    found = set_condition(existing, condition("Ready"), now=NOW)

    assert found[1:] == existing
    assert len(existing) == 1


def test_the_order_does_not_depend_on_who_came_first():
    types = ["Zebra", *reversed(ORDER), "Ant"]

    found = ordered(condition(type_) for type_ in types)

    assert [item.type for item in found] == [*ORDER, "Ant", "Zebra"]


def test_a_message_is_cut_at_the_limit_of_the_api():
    (found,) = set_condition((), condition(message="x" * (MESSAGE_LIMIT + 1)), now=NOW)

    assert len(found.message) == MESSAGE_LIMIT


def test_a_condition_survives_the_way_to_a_manifest_and_back():
    (given,) = set_condition((), condition(message="m", observed_generation=3), now=NOW)

    assert Condition.from_dict(given.to_dict()) == given
    assert given.to_dict() == {
        "type": "Ready",
        "status": "True",
        "reason": "Because",
        "message": "m",
        "observedGeneration": 3,
        "lastTransitionTime": "2026-01-02T04:04:05Z",
    }


def test_what_is_not_known_is_left_out_of_the_manifest():
    assert condition().to_dict() == {
        "type": "Ready",
        "status": "True",
        "reason": "Because",
        "message": "",
    }


def test_an_unheard_of_status_is_unknown():
    assert Condition.from_dict({"type": "Ready", "status": "Degraded"}).status == "Unknown"


def test_a_condition_without_a_type_is_an_error():
    with pytest.raises(KeyError):
        Condition.from_dict({"status": "True"})


def test_find_answers_none_for_what_is_not_there():
    assert find_condition((condition(),), "Other") is None
    assert find_condition((condition(),), "Ready") == condition()


def test_a_time_is_written_in_utc_and_whole_seconds():
    moment = datetime(2026, 1, 2, 5, 4, 5, 999_999, tzinfo=timezone(timedelta(hours=2)))

    assert timestamp(moment) == "2026-01-02T03:04:05Z"


def test_a_time_without_a_zone_is_an_error():
    with pytest.raises(ValueError, match="time zone"):
        timestamp(datetime(2026, 1, 2))
