"""When reports go out, in a clock of the test's own."""

from __future__ import annotations

import random

import pytest

from nodeagent.pacing import FIRST_PACE, Pacing


class Middle(random.Random):
    """Chance without surprise: always the middle."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


def test_the_pace_is_the_coordinators() -> None:
    pacing = Pacing(due=0.0).after_success(100.0, pace=20.0, chance=Middle())
    assert pacing.next_at(100.0, changed_at=None) == 120.0


def test_without_a_pace_the_last_one_holds() -> None:
    pacing = Pacing(due=0.0, pace=17.0).after_success(100.0, pace=None, chance=Middle())
    assert pacing.due == 117.0


@pytest.mark.parametrize(("told", "kept"), [(0.001, 1.0), (1e9, 300.0), (-5.0, FIRST_PACE)])
def test_an_absurd_pace_is_bounded(told: float, kept: float) -> None:
    assert Pacing(due=0.0).after_success(0.0, pace=told, chance=Middle()).pace == kept


def test_reports_spread_by_a_fifth() -> None:
    chance = random.Random(1)  # noqa: S311 (a fixed sequence)
    dues = {Pacing(due=0.0).after_success(0.0, pace=10.0, chance=chance).due for _ in range(200)}
    assert 8.0 <= min(dues) < 8.5
    assert 11.5 < max(dues) <= 12.0


def test_a_change_goes_out_at_once_with_those_that_come_with_it() -> None:
    pacing = Pacing(due=0.0).after_success(100.0, pace=20.0, chance=Middle())
    assert pacing.next_at(100.5, changed_at=100.5) == 100.55
    assert pacing.next_at(100.7, changed_at=100.5) == 100.7


def test_changes_are_five_at_once_then_one_a_second() -> None:
    sent: list[float] = []
    pacing, now = Pacing(due=1e9), 0.0
    while len(sent) < 8:
        now = pacing.next_at(now, changed_at=now - 1)
        sent.append(now)
        pacing = pacing.after_success(now, pace=300.0, chance=Middle())
    assert sent == [0, 0, 0, 0, 0, 1, 2, 3]


def test_a_silent_coordinator_is_asked_less_and_less() -> None:
    waits: list[float] = []
    pacing, now = Pacing(due=0.0), 0.0
    for _ in range(12):
        pacing = pacing.after_failure(now, chance=Middle())
        waits.append(round(pacing.due - now, 6))
        now = pacing.due
    assert waits == sorted(waits)
    assert waits[0] == 0.75
    assert waits[-1] == pytest.approx(22.5)


def test_a_change_does_not_shorten_the_back_off() -> None:
    pacing = Pacing(due=0.0).after_failure(100.0, chance=Middle())
    assert pacing.next_at(100.1, changed_at=100.1) == pacing.due
