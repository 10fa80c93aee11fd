"""The check `gpu-xid`: classes, urgency, and what ends a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nodeagent.findings import Finding, Outcome
from nodeagent.nvml.model import Gpu
from nodeagent.probes.gpu_xids import XidFacts, judge, settled
from nodeagent.probes.known_gpus import KnownGpu
from nodeagent.xid_log import Xid, XidLog, mark_cleared
from nodeagent.xids import XidClass, classified, described

if TYPE_CHECKING:
    from pathlib import Path

PASS, WARN, FAIL = Outcome.PASS, Outcome.WARN, Outcome.FAIL
WHO = KnownGpu(3, "GPU-a", "NVIDIA H200", "bus")


def xid(number: int, *, last: float = 1000.0, count: int = 1, uuid: str = "GPU-a") -> Xid:
    return Xid(uuid, number, count, last)


def judged(*xids: Xid, overrides: dict[str, str] | None = None) -> Finding:
    (finding,) = judge(XidFacts(xids, now=1000.0), [WHO], overrides=overrides or {})
    return finding


@pytest.mark.parametrize(
    ("number", "outcome", "reason"),
    [
        (13, WARN, "XidApplication"),
        (31, WARN, "XidApplication"),
        (94, WARN, "XidApplication"),
        (45, WARN, "XidConfiguration"),
        (54, WARN, "XidConfiguration"),
        (48, FAIL, "XidReset"),
        (64, FAIL, "XidReset"),
        (95, FAIL, "XidReset"),
        (109, FAIL, "XidReset"),
        (119, FAIL, "XidReset"),
        (120, FAIL, "XidReset"),
        (140, FAIL, "XidReset"),
        (74, FAIL, "XidNvlink"),
        (149, FAIL, "XidNvlink"),
        (79, FAIL, "XidReboot"),
        (151, FAIL, "XidReboot"),
        (63, PASS, "NoXid"),
        (43, PASS, "NoXid"),
        (154, PASS, "NoXid"),
        (1, WARN, "XidUnlisted"),
        (999, WARN, "XidUnlisted"),
    ],
)
def test_classes(number: int, outcome: Outcome, reason: str) -> None:
    finding = judged(xid(number))
    assert (finding.outcome, finding.reason) == (outcome, reason)
    assert (outcome is PASS) or f"XID {number}" in finding.message
    assert "{" not in finding.remedy


def test_the_most_urgent_is_named() -> None:
    assert judged(xid(94, last=1000), xid(79, last=10), xid(119, last=500)).reason == "XidReboot"


def test_repetition_is_counted() -> None:
    message = judged(xid(79, count=3)).message
    assert "announced XID 79 (GPU has fallen off the bus) 3 times, last at 1970-01-01T00:16" in (
        message
    )


def test_the_operators_configuration_overrides_the_catalogue() -> None:
    assert judged(xid(94), overrides={"94": "reset"}).reason == "XidReset"
    assert judged(xid(79), overrides={"79": "info"}).reason == "NoXid"
    assert classified(94, {"94": "nonsense"}) is XidClass.APPLICATION


def test_another_gpus_error_is_not_ours() -> None:
    assert judged(xid(79, uuid="GPU-b")).outcome is PASS


@pytest.mark.parametrize(
    ("number", "age", "action", "ends"),
    [
        pytest.param(63, 0, None, True, id="information ends at once"),
        pytest.param(94, 599, None, False, id="application within ten minutes"),
        pytest.param(94, 601, None, True, id="application after ten minutes"),
        pytest.param(119, 10_000, None, False, id="reset stays without the driver's word"),
        pytest.param(119, 30, 0, False, id="the driver needs a moment to make up its mind"),
        pytest.param(119, 61, 0, True, id="the driver asks for nothing any more"),
        pytest.param(119, 61, 1, False, id="the driver asks for a reset"),
        pytest.param(74, 61, 0, True, id="nvlink, the driver is content"),
        pytest.param(79, 10_000, 0, False, id="off the bus stays until the boot"),
        pytest.param(54, 10_000, 0, False, id="configuration stays"),
        pytest.param(999, 10_000, 0, False, id="unlisted stays"),
    ],
)
def test_what_ends_a_finding(number: int, age: float, action: int | None, ends: bool) -> None:
    facts = XidFacts((xid(number, last=1000.0),), now=1000.0 + age)
    gpus = [Gpu(3, "GPU-a", recovery_action=action)]
    assert bool(settled(facts, gpus, overrides={})) is ends


def test_numbers_without_a_title_are_still_searchable() -> None:
    assert described(8) == "XID 8"


def test_errors_outlive_the_agent_but_not_the_boot(tmp_path: Path) -> None:
    log = XidLog(tmp_path / "run", boot_id="one")
    log.add("GPU-a", 79, now=5.0)
    log.add("GPU-a", 79, now=7.0)
    expected = (Xid("GPU-a", 79, 2, 7.0),)
    assert XidLog(tmp_path / "run", boot_id="one").xids() == expected
    assert XidLog(tmp_path / "run", boot_id="two").xids() == ()


def test_a_cleared_gpu_is_forgotten_and_can_fail_again(tmp_path: Path) -> None:
    log = XidLog(tmp_path, boot_id="one")
    log.add("GPU-a", 79, now=5.0)
    log.add("GPU-b", 79, now=5.0)
    mark_cleared(tmp_path, "GPU-a")
    assert [each.uuid for each in log.xids()] == ["GPU-b"]
    log.add("GPU-a", 48, now=6.0)
    assert {each.number for each in log.xids()} == {79, 48}
    assert len(XidLog(tmp_path, boot_id="one").xids()) == 2


def test_settling_spares_what_came_again() -> None:
    log = XidLog(None, boot_id="one")
    log.add("GPU-a", 94, now=5.0)
    seen = log.xids()
    log.add("GPU-a", 94, now=6.0)
    log.settle(seen)
    assert log.xids() == (Xid("GPU-a", 94, 2, 6.0),)
    log.settle(log.xids())
    assert log.xids() == ()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"boot_id": "one", "xids": [{}]}', "\xff"])
def test_a_broken_file_is_no_obstacle(tmp_path: Path, content: str) -> None:
    (tmp_path / "xids.json").write_text(content, encoding="latin-1")
    log = XidLog(tmp_path, boot_id="one")
    assert log.xids() == ()
    log.add("GPU-a", 79, now=5.0)
    assert len(XidLog(tmp_path, boot_id="one").xids()) == 1


def test_a_directory_that_cannot_be_written_costs_the_memory_only(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    log = XidLog(tmp_path / "run", boot_id="one")
    log.add("GPU-a", 79, now=5.0)
    assert len(log.xids()) == 1


def test_a_gpu_gone_mad_does_not_fill_the_memory() -> None:
    log = XidLog(None, boot_id="one")
    for number in range(1000):
        log.add("GPU-a", number, now=5.0)
    assert len(log.xids()) == 64
