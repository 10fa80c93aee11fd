"""The check `l1-memory`: observed over trees, judged by table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hack.demo.host_root import GIB, HostProcess, HostRoot, Memory
from nodeagent.assignment import Assignment, Engine, EnginePod, Thresholds
from nodeagent.cgroups import GroupMemory
from nodeagent.errors import Denied, Unreadable
from nodeagent.findings import Finding, Outcome
from nodeagent.host import Host, Space
from nodeagent.memory import NodeMemory, parse
from nodeagent.probes.l1_memory import MemoryFacts, MemoryObserver, headrooms, judge
from nodeagent.processes import ProcessScanner

if TYPE_CHECKING:
    from pathlib import Path

POD = "6f1f4c0e-7d0e-4f3e-9a55-0c0ffee0c0de"
PASS, WARN, FAIL, UNKNOWN = Outcome.PASS, Outcome.WARN, Outcome.FAIL, Outcome.UNKNOWN

# 100 GiB free on a node of 200: reserve 2 % = 4 GiB, margin 5 % = 10 GiB.
NODE = NodeMemory(total=200 * GIB, free=100 * GIB, available=100 * GIB, inactive_file=0)


def engine(size: int, *, started: bool = False, **changes: object) -> Engine:
    pod = EnginePod(POD, started_at=1.0 if started else None)
    made = {"namespace": "default", "name": "my-cache", "l1_size": size * GIB, **changes}
    return Engine("e", pods=(pod,), **made)  # type: ignore[arg-type]


def held(resident: int, *, limit: int | None = None) -> GroupMemory:
    return GroupMemory(resident * GIB, None if limit is None else limit * GIB)


def judged(
    wanted: Engine, *, node: NodeMemory = NODE, group: GroupMemory | None = None, shm: int = 0
) -> Finding:
    facts = MemoryFacts(node, {"e": group}, Space(shm * GIB, shm * GIB))
    (finding,) = judge(facts, Assignment("1", (wanted,)))
    return finding


@pytest.mark.parametrize(
    ("finding", "outcome", "reason", "message"),
    [
        pytest.param(
            judged(engine(60)), PASS, "L1MemoryFits", "31.0 GiB to spare", id="before the start"
        ),
        pytest.param(
            judged(engine(60, started=True), group=held(60)),
            PASS,
            "L1MemoryFits",
            "91.0 GiB to spare",
            id="all pinned",
        ),
        pytest.param(judged(engine(85)), WARN, "L1MemoryTight", "leaves only 6.0 GiB", id="tight"),
        pytest.param(
            judged(engine(100)),
            FAIL,
            "L1MemoryShort",
            "default/my-cache: L1 of 100.0 GiB still needs 105.0 GiB, the node can give 96.0 GiB; "
            "largest l1.sizeGB that fits: 91",
            id="short before the start",
        ),
        pytest.param(
            judged(engine(160, started=True), group=held(50)),
            FAIL,
            "L1MemoryShort",
            "still needs 115.0 GiB",
            id="short while it grows",
        ),
        pytest.param(
            judged(engine(60), node=replace(NODE, available=6 * GIB)),
            FAIL,
            "L1MemoryNoRoom",
            "the node can give 2.0 GiB",
            id="no room at all",
        ),
        pytest.param(
            judged(engine(85), node=replace(NODE, free=70 * GIB, inactive_file=20 * GIB)),
            FAIL,
            "L1MemoryShort",
            "the node can give 86.0 GiB",
            id="the kubelet's view binds",
        ),
        pytest.param(
            judged(engine(60, started=True), group=held(10, limit=62)),
            FAIL,
            "L1MemoryLimitTooLow",
            "needs 65.0 GiB with the server, its memory limit is 62.0 GiB; "
            "largest l1.sizeGB that fits: 57",
            id="limit of the running container",
        ),
        pytest.param(
            judged(engine(60, memory_limit=62 * GIB)),
            FAIL,
            "L1MemoryLimitTooLow",
            "62.0 GiB",
            id="limit of the spec, before the start",
        ),
        pytest.param(
            judged(engine(60, l1_in_shared_memory=True), shm=50),
            FAIL,
            "L1SharedMemoryTooSmall",
            "does not fit into /dev/shm: 10.0 GiB short",
            id="/dev/shm too small",
        ),
        pytest.param(
            judged(
                engine(60, l1_use_hugepages=True),
                node=replace(NODE, hugepages_free=512, hugepage_size=2 << 20),
            ),
            FAIL,
            "L1HugepagesShort",
            "the free huge pages: 59.0 GiB short",
            id="huge pages short",
        ),
        pytest.param(
            judged(
                engine(60, l1_use_hugepages=True),
                node=replace(NODE, hugepages_free=40_000, hugepage_size=2 << 20),
            ),
            PASS,
            "L1MemoryFits",
            "fits",
            id="huge pages enough",
        ),
        pytest.param(
            judged(engine(60, started=True)),
            UNKNOWN,
            "EngineProcessNotFound",
            "no process",
            id="runs and is not found",
        ),
    ],
)
def test_verdicts(finding: Finding, outcome: Outcome, reason: str, message: str) -> None:
    assert (finding.outcome, finding.reason) == (outcome, reason)
    assert message in finding.message
    assert (finding.outcome in (WARN, FAIL)) <= bool(finding.remedy)


def test_every_term_is_in_the_evidence() -> None:
    finding = judged(engine(100, l1_in_shared_memory=True), shm=500)
    assert finding.evidence["binding"] == "node"
    assert finding.evidence["headroom.node"] == str(-9 * GIB)
    assert finding.evidence["headroom.sharedMemory"] == str(400 * GIB)
    assert finding.evidence["reserve"] == str(4 * GIB)
    assert len(finding.evidence) <= 32


def test_the_size_that_is_said_to_fit_does_fit() -> None:
    finding = judged(engine(100))
    assert judged(engine(int(finding.evidence["largestSizeGB"]))).outcome is not FAIL
    assert judged(engine(int(finding.evidence["largestSizeGB"]) + 1)).outcome is FAIL


def test_engines_of_one_node_are_added_up() -> None:
    first, second = engine(50), replace(engine(50), uid="f", name="other")
    facts = MemoryFacts(NODE, {"e": None, "f": None})
    findings = judge(facts, Assignment("1", (first, second)))
    assert [finding.reason for finding in findings] == ["L1MemoryShort"] * 2
    assert "(other engines: 55.0 GiB)" in findings[0].message


def test_the_kubelets_threshold_counts_where_it_is_larger() -> None:
    wanted = Assignment("1", (engine(60),), Thresholds(memory_reserve=40 * GIB))
    room = headrooms(MemoryFacts(NODE, {"e": None}), wanted)["e"]
    assert room.left == (100 - 40 - 65) * GIB


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (MemoryFacts(Unreadable("odd"), {}), "HostUnreadable"),
        (MemoryFacts(NODE, {"e": Unreadable("odd")}), "HostUnreadable"),
        (MemoryFacts(NODE, {"e": Denied("no", capability="CAP_X")}), "PermissionDenied"),
    ],
    ids=["meminfo", "group", "group refused"],
)
def test_what_cannot_be_read_is_unknown(facts: MemoryFacts, reason: str) -> None:
    (finding,) = judge(facts, Assignment("1", (engine(60),)))
    assert (finding.outcome, finding.reason) == (UNKNOWN, reason)


@pytest.mark.parametrize("version", [1, 2])
def test_observed_over_a_tree(tmp_path: Path, version: int) -> None:
    process = HostProcess(10, POD, resident=30 * GIB, limit=90 * GIB)
    tree = HostRoot(processes=(process,), cgroup_version=version, memory=Memory(total=64 * GIB))
    host = Host(tree.write(tmp_path))
    wanted = Assignment("1", (engine(60, started=True),))
    facts = MemoryObserver(host, ProcessScanner(host))(wanted)
    assert facts.groups["e"] == GroupMemory(resident=30 * GIB, limit=90 * GIB)
    assert isinstance(facts.node, NodeMemory)
    assert facts.node.total == 64 * GIB


def test_from_a_private_namespace_the_group_is_searched(tmp_path: Path) -> None:
    process = HostProcess(10, POD, resident=30 * GIB)
    host = Host(HostRoot(processes=(process,)).write(tmp_path))
    below_pod = process.group.partition("/kubepods.slice")[2]
    (tmp_path / "proc/10/cgroup").write_text(f"0::/../..{below_pod}\n")
    wanted = Assignment("1", (engine(60, started=True),))
    facts = MemoryObserver(host, ProcessScanner(host))(wanted)
    assert facts.groups["e"] == GroupMemory(resident=30 * GIB, limit=None)


def test_without_control_groups_the_processes_are_added_up(tmp_path: Path) -> None:
    host = Host(HostRoot(processes=(HostProcess(10, POD),)).write(tmp_path))
    for name in ("memory.stat", "memory.max", "memory.events"):
        for path in tmp_path.glob(f"sys/fs/cgroup/**/{name}"):
            path.unlink()
    (tmp_path / "proc/10/status").write_text("RssAnon:\t 1024 kB\nRssShmem:\t 1024 kB\n")
    wanted = Assignment("1", (engine(60, started=True),))
    facts = MemoryObserver(host, ProcessScanner(host))(wanted)
    assert facts.groups["e"] == GroupMemory(resident=2 << 20, limit=None)


def test_a_cut_meminfo_names_the_line() -> None:
    with pytest.raises(ValueError, match="no line MemAvailable"):
        parse("MemTotal: 1 kB\nMemFree: 1 kB\n")
