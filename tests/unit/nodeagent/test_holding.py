"""Failures count at once, recoveries when they have held."""

from __future__ import annotations

import pytest

from nodeagent.findings import NODE, Finding, Outcome, Subject, engine, gpu
from nodeagent.holding import Held, hold, hold_all

PASS, WARN, FAIL = Outcome.PASS, Outcome.WARN, Outcome.FAIL
UNKNOWN, NOT_APPLICABLE = Outcome.UNKNOWN, Outcome.NOT_APPLICABLE


def finding(outcome: Outcome, *, message: str = "", subject: Subject = NODE) -> Finding:
    return Finding("nvml", subject, outcome, f"Reason{outcome.name}", message)


def after(*outcomes: Outcome, rounds: int = 3, full_round: bool = True) -> Finding:
    held: Held | None = None
    for now, outcome in enumerate(outcomes, start=100):
        held = hold(
            held,
            finding(outcome),
            now=now,
            revision="1",
            full_round=full_round,
            recovery_rounds=rounds,
        )
    assert held is not None
    return held.finding


@pytest.mark.parametrize(
    ("outcomes", "stands", "since"),
    [
        pytest.param([PASS], PASS, 100, id="first answer stands at once"),
        pytest.param([FAIL], FAIL, 100, id="first failure stands at once"),
        pytest.param([PASS, FAIL], FAIL, 101, id="failure at once"),
        pytest.param([PASS, UNKNOWN], UNKNOWN, 101, id="unknown replaces a pass at once"),
        pytest.param([UNKNOWN, PASS], PASS, 101, id="pass replaces unknown at once"),
        pytest.param([WARN, FAIL], FAIL, 101, id="worse at once"),
        pytest.param([FAIL, PASS, PASS], FAIL, 100, id="two good rounds do not end a failure"),
        pytest.param([FAIL, PASS, PASS, PASS], PASS, 103, id="three good rounds do"),
        pytest.param([FAIL, PASS, PASS, FAIL, PASS, PASS], FAIL, 100, id="a relapse starts anew"),
        pytest.param([FAIL, WARN, WARN], FAIL, 100, id="getting better is held, too"),
        pytest.param([FAIL, UNKNOWN], FAIL, 100, id="a blip does not hide a failure"),
        pytest.param([FAIL, NOT_APPLICABLE], NOT_APPLICABLE, 101, id="no question, no failure"),
        pytest.param([PASS, PASS, PASS], PASS, 100, id="since stays with the outcome"),
    ],
)
def test_what_stands(outcomes: list[Outcome], stands: Outcome, since: float) -> None:
    standing = after(*outcomes)
    assert (standing.outcome, standing.since) == (stands, since)


def test_looks_out_of_turn_do_not_count_towards_a_recovery() -> None:
    assert after(FAIL, *[PASS] * 20, full_round=False).outcome is FAIL


def test_the_message_follows_while_the_outcome_stays() -> None:
    held = Held(finding(FAIL, message="5 GiB short"), "1")
    now = hold(
        held,
        finding(FAIL, message="6 GiB short"),
        now=7,
        revision="1",
        full_round=True,
        recovery_rounds=3,
    )
    assert now.finding.message == "6 GiB short"


def test_a_changed_engine_is_a_new_question() -> None:
    held = Held(finding(FAIL, subject=engine("e")), "1")
    mended = finding(PASS, subject=engine("e"))
    now = hold(held, mended, now=7, revision="2", full_round=True, recovery_rounds=3)
    assert now.finding.outcome is PASS


def test_a_new_assignment_does_not_mend_a_gpu() -> None:
    held = Held(finding(FAIL, subject=gpu("g")), "1")
    seen = finding(PASS, subject=gpu("g"))
    now = hold(held, seen, now=7, revision="2", full_round=True, recovery_rounds=3)
    assert now.finding.outcome is FAIL


def test_a_subject_that_is_gone_is_dropped() -> None:
    held = [Held(finding(FAIL, subject=engine("e")), "1")]
    assert hold_all(held, [], now=7, revision="1", full_round=True, recovery_rounds=3) == {}
