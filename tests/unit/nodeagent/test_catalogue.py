"""The catalogue of reasons: complete, unique, and worth reading."""

from __future__ import annotations

import re

import pytest

from nodeagent.catalogue import CHECKS
from nodeagent.catalogue.model import GENERAL, Check, Reason
from nodeagent.findings import NODE, Outcome

PAIRS = [(check, reason) for check in CHECKS for reason in (*check.reasons, *GENERAL)]


@pytest.mark.parametrize(
    ("check", "reason"), PAIRS, ids=[f"{check.name}-{reason.name}" for check, reason in PAIRS]
)
def test_a_reason_says_what_it_means_and_what_mends_it(check: Check, reason: Reason) -> None:
    assert re.fullmatch(r"[A-Z][A-Za-z0-9]{2,62}", reason.name)
    assert reason.meaning.endswith(".")
    assert bool(reason.remedy) == (reason.outcome not in (Outcome.PASS, Outcome.NOT_APPLICABLE))
    assert len(reason.remedy) <= 300


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_check_can_pass_and_asks_a_question(check: Check) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", check.name)
    assert check.question.endswith("?")
    names = [reason.name for reason in check.reasons]
    assert len(names) == len(set(names))
    assert Outcome.PASS in {reason.outcome for reason in check.reasons}


def test_one_name_is_one_reason_everywhere() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    by_name: dict[str, set[Reason]] = {}
    for _, reason in PAIRS:
        by_name.setdefault(reason.name, set()).add(reason)
    assert {name for name, reasons in by_name.items() if len(reasons) > 1} == set()


def test_a_check_takes_only_its_own_reasons() -> None:
    first, last = CHECKS[0], CHECKS[-1]
    with pytest.raises(ValueError, match="is not a reason of the check"):
        first.finding(last.reasons[0], NODE, "")


def test_a_remedy_with_a_hole_is_refused() -> None:
    reason = Reason("Odd", Outcome.FAIL, "It is odd.", "Set {what}.")
    check = Check("odd", NODE.kind, "Is it odd?", (reason,))
    with pytest.raises(ValueError, match="needs what"):
        check.finding(reason, NODE, "")
    assert check.finding(reason, NODE, "", what="it").remedy == "Set it."
