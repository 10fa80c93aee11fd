"""Metrics of /dev/shm, of the memory for L1, and of the clients."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from nodeagent.cgroups import GroupMemory
from nodeagent.probes.clients import ClientFacts
from nodeagent.probes.l1_memory import MemoryFacts, headrooms
from nodeagent.probes.shared_memory import SharedMemoryFacts
from nodeagent.state import Snapshot


def host_metrics(node: str, snapshot: Snapshot) -> Iterator[Metric]:
    """Return what the probes of the host saw last."""
    shared_memory = snapshot.facts("shared-memory")
    if isinstance(shared_memory, SharedMemoryFacts) and shared_memory.space is not None:
        space = shared_memory.space
        yield _gauge(node, "shm_size_bytes", "Size of the host's /dev/shm.", space.size)
        yield _gauge(node, "shm_free_bytes", "Free bytes of the host's /dev/shm.", space.free)
    memory = snapshot.facts("l1-memory")
    if isinstance(memory, MemoryFacts):
        yield from _l1_metrics(node, memory, snapshot)
    clients = snapshot.facts("clients")
    if isinstance(clients, ClientFacts):
        documentation = "Pods of this node that use a cache server."
        yield _gauge(node, "clients", documentation, len(clients.clients))


def _l1_metrics(node: str, facts: MemoryFacts, snapshot: Snapshot) -> Iterator[Metric]:
    configured = _engine_gauge("l1_configured_bytes", "Size of L1 as configured.")
    resident = _engine_gauge("l1_resident_bytes", "Memory that the engine's container holds.")
    headroom = _engine_gauge(
        "l1_headroom_bytes", "What is left when all of L1 is pinned; negative: missing."
    )
    terms = GaugeMetricFamily(
        "lmcache_node_l1_headroom_term_bytes",
        "The headroom by what limits it; the smallest term is the headroom.",
        labels=["node", "engine", "term"],
    )
    rooms = headrooms(facts, snapshot.assignment)
    for engine in snapshot.assignment.engines:
        labels = [node, engine.title]
        configured.add_metric(labels, engine.l1_size)
        group = facts.groups.get(engine.uid)
        if isinstance(group, GroupMemory):
            resident.add_metric(labels, group.resident)
        if engine.uid in rooms:
            room = rooms[engine.uid]
            headroom.add_metric(labels, room.left)
            for term, left in room.terms.items():
                terms.add_metric([*labels, term], left)
    yield from (configured, resident, headroom, terms)


def _gauge(node: str, name: str, documentation: str, value: float) -> Metric:
    gauge = GaugeMetricFamily(f"lmcache_node_{name}", documentation, labels=["node"])
    gauge.add_metric([node], value)
    return gauge


def _engine_gauge(name: str, documentation: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"lmcache_node_{name}", documentation, labels=["node", "engine"])
