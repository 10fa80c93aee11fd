"""GPUs that have answered once: a lost GPU no longer says who it is. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nodeagent.host import PciGpu
from nodeagent.nvml.model import Gpu


@dataclass(frozen=True, slots=True)
class KnownGpu:
    """Identity of a GPU from when it answered."""

    index: int
    uuid: str
    model: str
    pci_bus_id: str

    @property
    def title(self) -> str:
        """The GPU as a message names it."""
        return f"GPU {self.index} ({', '.join(filter(None, (short(self.uuid), self.model)))})"


def short(uuid: str) -> str:
    """Return a UUID cut to what identifies it on one node: `GPU-5b2f0c1e…`."""
    return uuid if len(uuid) <= 13 else f"{uuid[:12]}…"


def remembered(known: Iterable[KnownGpu], gpus: Iterable[Gpu]) -> tuple[KnownGpu, ...]:
    """Return the known GPUs, brought up to date by those that say their UUID now."""
    by_uuid = {each.uuid: each for each in known}
    for gpu in gpus:
        if gpu.uuid:
            by_uuid[gpu.uuid] = KnownGpu(
                index=gpu.index,
                uuid=gpu.uuid,
                model=gpu.model or "",
                pci_bus_id=gpu.pci_bus_id or "",
            )
    return tuple(sorted(by_uuid.values(), key=lambda each: (each.index, each.uuid)))


def identified(
    gpus: Iterable[Gpu], known: Iterable[KnownGpu], *, pci: Sequence[PciGpu] | None = None
) -> tuple[KnownGpu, ...]:
    """Return who each GPU is: by its own word, else by the index it had when it last answered.

    One that never answered goes by its address: NVML counts GPUs in the order of the PCI bus.
    """
    gpus = tuple(gpus)
    addresses = [each.address for each in pci] if pci and len(pci) == len(gpus) else []
    spoken_for = {gpu.uuid for gpu in gpus}
    silent = {each.index: each for each in known if each.uuid not in spoken_for}
    return tuple(_identified(gpu, silent, addresses) for gpu in gpus)


def _identified(gpu: Gpu, silent: Mapping[int, KnownGpu], addresses: Sequence[str]) -> KnownGpu:
    if not gpu.uuid and gpu.index in silent:
        return silent[gpu.index]
    address = gpu.pci_bus_id or "".join(addresses[gpu.index : gpu.index + 1])
    return KnownGpu(
        index=gpu.index,
        uuid=gpu.uuid or address or f"index-{gpu.index}",
        model=gpu.model or "",
        pci_bus_id=address,
    )
