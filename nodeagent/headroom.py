"""Whether L1 fits: the formula of node-agent.md §6, with every term kept. Pure.

LMCache pins the whole of L1 within seconds of its start, "lazy" or not, so what counts is the full
size, before the start and after. All sizes are bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from nodeagent.assignment import Engine, Thresholds
from nodeagent.cgroups import GroupMemory
from nodeagent.memory import NodeMemory
from nodeagent.quantities import GIB

# What the server needs beside L1; the same 5 GiB that the operator adds to l1.sizeGB for the
# container's memory request.
OVERHEAD = 5 * GIB

# The kubelet's threshold is absolute, and on a large node too little for the kernel to breathe.
_LEAST_RESERVE_RATIO = 0.02


@dataclass(frozen=True, slots=True)
class Demand:
    """What one engine needs, has, and will still take from the node."""

    need: int
    resident: int
    to_come: int


@dataclass(frozen=True, slots=True)
class Headroom:
    """What is left for one engine, per term; the smallest binds."""

    demand: Demand
    terms: Mapping[str, int]
    usable: int
    reserve: int
    others_to_come: int
    limit: int | None

    @property
    def binding(self) -> str:
        """The name of the smallest term."""
        return min(self.terms, key=lambda name: self.terms[name])

    @property
    def left(self) -> int:
        """The smallest term: below zero is missing."""
        return self.terms[self.binding]


def demand(engine: Engine, group: GroupMemory | None) -> Demand:
    """Return what an engine takes; `group` is its server's, None before it runs."""
    backed_by_node = not engine.l1_use_hugepages
    need = OVERHEAD + (engine.l1_size if backed_by_node else 0)
    resident = 0 if group is None else group.resident
    return Demand(need=need, resident=resident, to_come=max(0, need - resident))


def headroom(
    engine: Engine,
    *,
    own: Demand,
    others_to_come: int,
    node: NodeMemory,
    group: GroupMemory | None,
    thresholds: Thresholds,
    shared_memory_free: int | None = None,
) -> Headroom:
    """Return the headroom of one engine beside the others of its node."""
    reserve = max(thresholds.memory_reserve, int(node.total * _LEAST_RESERVE_RATIO))
    terms = {"node": node.usable - reserve - own.to_come - others_to_come}
    limit = group.limit if group is not None else (engine.memory_limit or None)
    if limit is not None:
        terms["limit"] = limit - own.need
    if engine.l1_in_shared_memory and shared_memory_free is not None:
        already = min(own.resident, engine.l1_size)
        terms["sharedMemory"] = shared_memory_free + already - engine.l1_size
    if engine.l1_use_hugepages and group is None:
        # Once the server runs its pages are no longer free, and nothing says whose they are.
        terms["hugepages"] = node.hugepages_free * node.hugepage_size - engine.l1_size
    return Headroom(
        demand=own,
        terms=terms,
        usable=node.usable,
        reserve=reserve,
        others_to_come=others_to_come,
        limit=limit,
    )


def largest_fit(engine: Engine, room: Headroom) -> int:
    """Return the largest l1.sizeGB (GiB) that fits under every term; 0 when none does."""
    return max(0, (engine.l1_size + room.left) // GIB)
