"""Metrics: from the last result, with the node's name, and nothing of what vanished."""

from __future__ import annotations

import re

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from nodeagent.assignment import Assignment, Engine, Thresholds
from nodeagent.catalogue import NVML, SHARED_MEMORY, gpu, host
from nodeagent.cgroups import GroupMemory
from nodeagent.findings import NODE, client, engine
from nodeagent.host import Space
from nodeagent.kv_transfer import Target
from nodeagent.memory import NodeMemory
from nodeagent.metrics import AgentCollector, registry
from nodeagent.nvml.client import NvmlClient
from nodeagent.nvml.model import Driver, Failure, FailureKind, Gpu, Reading
from nodeagent.probes.clients import Client, ClientFacts
from nodeagent.probes.gpus import GpuFacts
from nodeagent.probes.known_gpus import remembered
from nodeagent.probes.l1_memory import MemoryFacts
from nodeagent.probes.shared_memory import SharedMemoryFacts
from nodeagent.report import ReportStatistics
from nodeagent.state import Look, NodeState

GIB = 1 << 30
GPUS = (Gpu(0, "GPU-a", "H200", "bus", 100, 10), Gpu(1, "GPU-b", "H200", "bus", 100, None))


@pytest.fixture
def state() -> NodeState:
    return NodeState(probes=["gpus"])


def exposed(state: NodeState) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    collector = AgentCollector(
        node_name="node-a",
        version="0.1.0",
        state=state,
        nvml=NvmlClient(deadline=1.0),
        statistics=lambda: ReportStatistics(sent=3, failed=1, last_success=99.0),
    )
    text = generate_latest(registry(collector)).decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("node") == "node-a", sample.name
            found[sample.name, tuple(sorted(labels.items()))] = sample.value
    return found


def facts(*gpus: Gpu) -> GpuFacts:
    return GpuFacts(Reading(Driver("/lib/x", "580", "13"), gpus), None, remembered((), GPUS))


def test_every_name_is_ours_and_has_a_unit(state: NodeState) -> None:
    state.record("gpus", Look((), facts(*GPUS)), full_round=True)
    for name, _ in exposed(state):
        assert re.fullmatch(r"lmcache_node_[a-z0-9_]+", name)
        assert not name.endswith("_created")


def test_one_status_of_five_is_one(state: NodeState) -> None:
    finding = NVML.finding(gpu.DRIVER_TIMEOUT, NODE, "hangs")
    state.record("gpus", Look((finding,), facts()), full_round=True)
    found = exposed(state)
    statuses = {
        dict(labels)["status"]: value
        for (name, labels), value in found.items()
        if name == "lmcache_node_check_status"
    }
    assert statuses == {"pass": 0, "warn": 0, "fail": 1, "unknown": 0, "n_a": 0}
    reason = (("check", "nvml"), ("reason", "DriverTimeout"), ("subject", ""))
    assert found["lmcache_node_check_reason_info", reason] == 1


def test_an_engine_goes_by_its_name_and_clients_share_a_series(state: NodeState) -> None:
    state.assign(Assignment("1", (Engine("e", "default", "my-cache"),)))
    findings = (
        SHARED_MEMORY.finding(host.SHARED, engine("e"), ""),
        SHARED_MEMORY.finding(host.SHARED, client("pod-1"), ""),
        SHARED_MEMORY.finding(host.ISOLATED_IPC, client("pod-2"), ""),
    )
    state.record("shared-memory", Look(findings), full_round=True)
    subjects = {
        dict(labels)["subject"]
        for name, labels in exposed(state)
        if name == "lmcache_node_check_status"
    }
    assert subjects == {"default/my-cache", ""}


def test_a_lost_gpu_keeps_its_up_and_loses_the_rest(state: NodeState) -> None:
    lost = Gpu(1, failures={"handle": 15})
    state.record("gpus", Look((), facts(GPUS[0], lost)), full_round=True)
    found = exposed(state)
    second = (("gpu", "1"), ("uuid", "GPU-b"))
    assert found["lmcache_node_gpu_up", second] == 0
    assert ("lmcache_node_gpu_memory_total_bytes", second) not in found


def test_a_gpu_that_left_the_list_is_down(state: NodeState) -> None:
    state.record("gpus", Look((), facts(GPUS[0])), full_round=True)
    assert exposed(state)["lmcache_node_gpu_up", (("gpu", "1"), ("uuid", "GPU-b"))] == 0


def test_all_gpus_are_down_while_the_driver_is_silent(state: NodeState) -> None:
    dead = GpuFacts(Failure(FailureKind.TIMEOUT), None, remembered((), GPUS))
    state.record("gpus", Look((), dead), full_round=True)
    found = exposed(state)
    ups = [value for (name, _), value in found.items() if name == "lmcache_node_gpu_up"]
    assert ups == [0, 0]
    assert not [name for name, _ in found if name == "lmcache_node_nvml_info"]


def test_the_terms_of_the_headroom(state: NodeState) -> None:
    wanted = Assignment("1", (Engine("e", "d", "c", l1_size=60 * GIB),), Thresholds())
    state.assign(wanted)
    memory = MemoryFacts(
        NodeMemory(200 * GIB, 100 * GIB, 100 * GIB, 0), {"e": GroupMemory(5 * GIB, 80 * GIB)}
    )
    shared_memory = SharedMemoryFacts(("0:27", "/"), {}, Space(7, 3))
    clients = ClientFacts((Client("p", Target("h", 1), 1),))
    state.record("l1-memory", Look((), memory), full_round=True)
    state.record("shared-memory", Look((), shared_memory), full_round=True)
    state.record("clients", Look((), clients), full_round=True)
    found = exposed(state)
    cache = ("engine", "d/c")
    assert found["lmcache_node_l1_resident_bytes", (cache,)] == 5 * GIB
    assert found["lmcache_node_l1_headroom_bytes", (cache,)] == 15 * GIB
    assert found["lmcache_node_l1_headroom_term_bytes", (cache, ("term", "limit"))] == 15 * GIB
    assert found["lmcache_node_l1_headroom_term_bytes", (cache, ("term", "node"))] == 36 * GIB
    assert found["lmcache_node_shm_free_bytes", ()] == 3
    assert found["lmcache_node_clients", ()] == 1


def test_the_agents_own(state: NodeState) -> None:
    found = exposed(state)
    assert found["lmcache_node_agent_reports_total", ()] == 3
    assert found["lmcache_node_agent_report_failures_total", ()] == 1
    assert found["lmcache_node_agent_last_report_timestamp_seconds", ()] == 99
    assert found["lmcache_node_nvml_call_timeouts_total", ()] == 0


def test_what_vanished_leaves_no_series(state: NodeState) -> None:
    state.assign(Assignment("1", (Engine("e", "d", "c"),)))
    memory = MemoryFacts(NodeMemory(1, 1, 1, 1), {"e": None})
    state.record("l1-memory", Look((), memory), full_round=True)
    assert [name for name, _ in exposed(state) if name == "lmcache_node_l1_configured_bytes"]
    state.assign(Assignment("2"))
    assert not [name for name, _ in exposed(state) if name == "lmcache_node_l1_configured_bytes"]
