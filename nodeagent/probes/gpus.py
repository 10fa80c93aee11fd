"""Driver and GPUs: do they answer, are all there, is one lost? One NVML reading serves all."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from nodeagent.assignment import Assignment
from nodeagent.catalogue import GPU_COUNT, GPU_HEALTH, GPU_LOST, GPU_XID, NVML
from nodeagent.errors import HostReadError
from nodeagent.findings import Finding
from nodeagent.host import Host, PciGpu
from nodeagent.nvml.client import NvmlClient
from nodeagent.nvml.model import Failure, Gpu, Reading
from nodeagent.probes import Probe, driver, gpu_health, gpu_loss, gpu_number, gpu_xids
from nodeagent.probes.gpu_xids import XidFacts
from nodeagent.probes.known_gpus import KnownGpu, identified, remembered
from nodeagent.xid_log import XidLog


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """What was seen of the driver and its GPUs.

    `pci` is None where the PCI bus cannot be listed; `known` are the GPUs that answered at some
    time since the agent started, by which a GPU that no longer says its UUID is recognised.
    """

    answer: Reading | Failure
    pci: tuple[PciGpu, ...] | None
    known: tuple[KnownGpu, ...]
    xids: XidFacts = field(default_factory=XidFacts)

    @property
    def identified(self) -> tuple[tuple[KnownGpu, Gpu], ...]:
        """The GPUs of this reading and who they are; none while NVML does not answer."""
        if not isinstance(self.answer, Reading):
            return ()
        gpus = self.answer.gpus
        return tuple(zip(identified(gpus, self.known, pci=self.pci), gpus, strict=True))


class GpuObserver:
    """Reads NVML and the PCI bus, and remembers the GPUs it has seen."""

    def __init__(
        self,
        host: Host,
        nvml: NvmlClient,
        *,
        xid_log: XidLog,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._host = host
        self._nvml = nvml
        self._xid_log = xid_log
        self._wall_clock = wall_clock
        self._known: tuple[KnownGpu, ...] = ()

    def __call__(self, assignment: Assignment) -> GpuFacts:
        """Take one reading."""
        answer = self._nvml.read()
        if isinstance(answer, Reading):
            self._known = remembered(self._known, answer.gpus)
        return GpuFacts(
            answer=answer,
            pci=self._pci(),
            known=self._known,
            xids=self._xids(answer, overrides=assignment.thresholds.xid_classes),
        )

    def _xids(self, answer: Reading | Failure, *, overrides: Mapping[str, str]) -> XidFacts:
        gpus = answer.gpus if isinstance(answer, Reading) else ()
        seen = XidFacts(self._xid_log.xids(), self._wall_clock())
        self._xid_log.settle(gpu_xids.settled(seen, gpus, overrides=overrides))
        return XidFacts(self._xid_log.xids(), seen.now)

    def _pci(self) -> tuple[PciGpu, ...] | None:
        try:
            return self._host.pci_gpus()
        except HostReadError:
            return None


def judge(facts: GpuFacts, assignment: Assignment) -> tuple[Finding, ...]:
    """Answer all checks of this probe."""
    return (
        driver.judge(facts.answer, pci=facts.pci),
        gpu_number.judge(facts.answer, pci=facts.pci, assignment=assignment),
        *gpu_loss.judge(facts.answer, known=facts.known, pci=facts.pci),
        *gpu_health.judge(facts.identified),
        *gpu_xids.judge(facts.xids, facts.known, overrides=assignment.thresholds.xid_classes),
    )


def gpu_probe(host: Host, nvml: NvmlClient, *, xid_log: XidLog, deadline: float) -> Probe:
    """Return the probe; `deadline` must exceed that of the NVML client."""
    observe: Callable[[Assignment], GpuFacts] = GpuObserver(host, nvml, xid_log=xid_log)
    return Probe(
        name="gpus",
        checks=(NVML, GPU_COUNT, GPU_LOST, GPU_HEALTH, GPU_XID),
        deadline=deadline,
        observe=observe,
        judge=judge,
    )
