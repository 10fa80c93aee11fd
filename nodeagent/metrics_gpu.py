"""Metrics of the driver and the GPUs."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from nodeagent.nvml.model import Gpu, Reading
from nodeagent.probes.gpus import GpuFacts
from nodeagent.state import Snapshot


def gpu_metrics(node: str, snapshot: Snapshot) -> Iterator[Metric]:
    """Return what the last reading showed; a GPU that was known and is gone keeps its `up` 0."""
    facts = snapshot.facts("gpus")
    if not isinstance(facts, GpuFacts):
        return
    reading = facts.answer if isinstance(facts.answer, Reading) else None
    yield _up(node, facts)
    if reading is None:
        return
    yield _driver(node, reading)
    labelled = [([node, str(who.index), who.uuid], gpu) for who, gpu in facts.identified]
    yield from _memory(labelled)
    yield from _health(labelled)
    yield from _xids(node, facts)


def _up(node: str, facts: GpuFacts) -> Metric:
    up = GaugeMetricFamily(
        "lmcache_node_gpu_up",
        "1 while the GPU answers, 0 while it does not.",
        labels=["node", "gpu", "uuid"],
    )
    present: dict[str, tuple[int, bool]] = {each.uuid: (each.index, False) for each in facts.known}
    for who, gpu in facts.identified:
        present[who.uuid] = (who.index, gpu.fatal_code is None)
    for uuid, (index, is_up) in sorted(present.items(), key=lambda each: each[1]):
        up.add_metric([node, str(index), uuid], is_up)
    return up


def _driver(node: str, reading: Reading) -> Metric:
    info = GaugeMetricFamily(
        "lmcache_node_nvml_info",
        "The loaded driver library and the driver; 1. The path shows a simulated driver as such.",
        labels=["node", "library", "driver_version", "nvml_version"],
    )
    driver = reading.driver
    info.add_metric([node, driver.library_path, driver.driver_version, driver.nvml_version], 1)
    return info


def _health(labelled: list[tuple[list[str], Gpu]]) -> Iterator[Metric]:
    """Return what the driver offers of its records; these grow and shrink with a reset: gauges."""
    rows = GaugeMetricFamily(
        "lmcache_node_gpu_remapped_rows",
        "Rows of the GPU's memory that were remapped, by cause.",
        labels=["node", "gpu", "uuid", "cause"],
    )
    families = {
        name: GaugeMetricFamily(
            f"lmcache_node_gpu_{name}", documentation, labels=["node", "gpu", "uuid"]
        )
        for name, documentation in (
            ("remap_pending", "1 while a row waits for a reset to be remapped."),
            ("remap_failed", "1 after a row could not be remapped."),
            ("uncorrectable_errors", "Uncorrectable memory errors since the driver was loaded."),
            ("recovery_action", "What the driver asks for (NVML field 230); 0: nothing."),
        )
    }
    for labels, gpu in labelled:
        values: dict[str, float | None] = {
            "uncorrectable_errors": gpu.uncorrectable_errors,
            "recovery_action": gpu.recovery_action,
        }
        if gpu.remapped_rows is not None:
            values["remap_pending"] = gpu.remapped_rows.pending
            values["remap_failed"] = gpu.remapped_rows.failed
            rows.add_metric([*labels, "correctable"], gpu.remapped_rows.correctable)
            rows.add_metric([*labels, "uncorrectable"], gpu.remapped_rows.uncorrectable)
        for name, value in values.items():
            if value is not None:
                families[name].add_metric(labels, value)
    yield from (rows, *families.values())


def _xids(node: str, facts: GpuFacts) -> Iterator[Metric]:
    last = GaugeMetricFamily(
        "lmcache_node_gpu_last_xid",
        "The XID that the driver announced last and that still matters; 0: none.",
        labels=["node", "gpu", "uuid"],
    )
    for who in facts.known:
        own = [xid for xid in facts.xids.xids if xid.uuid == who.uuid]
        newest = max(own, key=lambda xid: xid.last, default=None)
        last.add_metric([node, str(who.index), who.uuid], 0 if newest is None else newest.number)
    yield last


def _memory(labelled: list[tuple[list[str], Gpu]]) -> Iterator[Metric]:
    families = {
        name: GaugeMetricFamily(
            f"lmcache_node_gpu_memory_{name}_bytes",
            documentation,
            labels=["node", "gpu", "uuid"],
        )
        for name, documentation in (
            ("total", "Memory of the GPU."),
            ("used", "Memory of the GPU that is in use."),
        )
    }
    for labels, gpu in labelled:
        for name, value in (("total", gpu.memory_total), ("used", gpu.memory_used)):
            if value is not None:
                families[name].add_metric(labels, value)
    yield from families.values()
