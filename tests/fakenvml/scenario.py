"""Scenarios for the fake NVIDIA driver library: values here, text in the file it reads.

A scenario is a value. Each ``with_…`` returns a changed copy, and ``write()`` puts it in place by
rename, so that a library which is in use sees the old one or the new one and nothing between.
README.md in this folder documents the keys of the file.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.fakenvml.models import MODELS, ModelName

Value = bool | int | str | tuple[int, ...]

INIT: Final = "nvmlInitWithFlags"
"""The function to name when init itself is to fail, or to hang."""

WEDGED: Final = float("inf")
"""A delay without end: the call never returns, and its thread heeds no signal but SIGKILL."""

GPU_IS_LOST: Final = 15

MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Process:
    """A process with a context on a GPU. ``memory`` is in bytes; None: the driver cannot tell."""

    pid: int
    memory: int | None
    gpu_instance: int | None = None
    compute_instance: int | None = None

    def text(self) -> str:
        """Return the process as one word of the scenario's process lists."""
        words = [str(self.pid), "na" if self.memory is None else str(self.memory)]
        if self.gpu_instance is not None and self.compute_instance is not None:
            words += [str(self.gpu_instance), str(self.compute_instance)]
        return ":".join(words)


@dataclass(frozen=True, slots=True)
class Failure:
    """A field value that carries a return code instead of a number."""

    code: int


@dataclass(frozen=True, slots=True)
class MigDevice:
    """A MIG device. ``memory_*`` are in bytes."""

    uuid: str
    gpu_instance: int
    compute_instance: int = 0
    name: str | None = None
    memory_total: int | None = None
    memory_reserved: int | None = None
    memory_used: int | None = None


def _key(name: str) -> Any:
    """Declare an attribute that the scenario file calls `name`; absent unless it is given."""
    return field(default=None, metadata={"key": name})


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU. An attribute that is None is left out, and the library answers NOT_SUPPORTED.

    Memory is in bytes, power in milliwatts, temperature in degrees Celsius.
    """

    uuid: str | None = _key("uuid")
    name: str | None = _key("name")
    serial: str | None = _key("serial")
    minor_number: int | None = _key("minor_number")
    pci_bus_id: str | None = _key("pci.bus_id")
    pcie_generation: int | None = _key("pcie.generation")
    pcie_width: int | None = _key("pcie.width")
    pcie_replay_counter: int | None = _key("pcie.replay_counter")
    persistence_mode: bool | None = _key("persistence_mode")
    memory_total: int | None = _key("memory.total")
    memory_reserved: int | None = _key("memory.reserved")
    memory_used: int | None = _key("memory.used")
    ecc_mode: bool | None = _key("ecc.mode")
    ecc_volatile_corrected: int | None = _key("ecc.volatile.corrected")
    ecc_volatile_uncorrected: int | None = _key("ecc.volatile.uncorrected")
    ecc_aggregate_corrected: int | None = _key("ecc.aggregate.corrected")
    ecc_aggregate_uncorrected: int | None = _key("ecc.aggregate.uncorrected")
    remapped_correctable: int | None = _key("remapped_rows.correctable")
    remapped_uncorrectable: int | None = _key("remapped_rows.uncorrectable")
    remapped_pending: bool | None = _key("remapped_rows.pending")
    remapped_failure: bool | None = _key("remapped_rows.failure")
    remapped_histogram: tuple[int, ...] | None = _key("remapped_rows.histogram")
    retired_single_bit: tuple[int, ...] | None = _key("retired_pages.single_bit")
    retired_double_bit: tuple[int, ...] | None = _key("retired_pages.double_bit")
    retired_pending: bool | None = _key("retired_pages.pending")
    recovery_action: int | None = _key("recovery_action")
    clocks_event_reasons: int | None = _key("clocks_event_reasons")
    temperature: int | None = _key("temperature")
    power_usage: int | None = _key("power.usage")
    utilization_gpu: int | None = _key("utilization.gpu")
    utilization_memory: int | None = _key("utilization.memory")
    nvlink_states: tuple[int, ...] | None = _key("nvlink.states")
    fabric_state: int | None = _key("fabric.state")
    fabric_status: int | None = _key("fabric.status")
    fabric_health_mask: int | None = _key("fabric.health_mask")
    fabric_health_summary: int | None = _key("fabric.health_summary")
    mig_mode: bool | None = _key("mig.mode")
    mig_max_devices: int | None = _key("mig.max_devices")
    supported_events: int | None = _key("events.supported")

    compute_processes: tuple[Process, ...] | None = None
    graphics_processes: tuple[Process, ...] | None = None
    mig_devices: Mapping[int, MigDevice] = field(default_factory=dict)
    fields: Mapping[int, int | Failure] = field(default_factory=dict)
    """Field values by their id, over those that follow from the attributes above."""
    returns: Mapping[str, int] = field(default_factory=dict)
    delays: Mapping[str, float] = field(default_factory=dict)
    more: Mapping[str, Value] = field(default_factory=dict)
    """Any other key of the scenario file, without its ``gpu.<n>.``."""

    def items(self) -> dict[str, Value]:
        """Return this GPU's keys and values, without the ``gpu.<n>.`` before each key."""
        found: dict[str, Value | None] = {
            attribute.metadata["key"]: getattr(self, attribute.name)
            for attribute in dataclasses.fields(self)
            if "key" in attribute.metadata
        }
        for kind, processes in (
            ("compute", self.compute_processes),
            ("graphics", self.graphics_processes),
        ):
            if processes is not None:
                found[f"processes.{kind}"] = " ".join(process.text() for process in processes)
        for index, device in self.mig_devices.items():
            for name, value in dataclasses.asdict(device).items():
                found[f"mig.{index}.{name.replace('memory_', 'memory.')}"] = value
        for number, reading in self.fields.items():
            found[f"field.{number}"] = (
                f"error:{reading.code}" if isinstance(reading, Failure) else reading
            )
        found |= _steering(self.returns, self.delays)
        found |= self.more
        return {key: value for key, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A driver and its GPUs."""

    gpus: tuple[Gpu, ...] = ()
    driver_version: str | None = "580.95.05"
    nvml_version: str | None = "13.580.95.05"
    cuda_version: str | None = "13.0"
    events_file: Path | str | None = None
    """A relative path is relative to the scenario file; likewise for the call log."""
    call_log: Path | str | None = None
    returns: Mapping[str, int] = field(default_factory=dict)
    delays: Mapping[str, float] = field(default_factory=dict)

    def with_gpu(self, index: int, **changes: Any) -> Scenario:
        """Change attributes of one GPU."""
        return self._with_gpu(index, dataclasses.replace(self.gpus[index], **changes))

    def with_key(self, index: int, key: str, value: Value) -> Scenario:
        """Give one GPU a key of the scenario file, beside the other attributes that it has."""
        return self.with_gpu(index, more={**self.gpus[index].more, key: value})

    def without_gpu(self, index: int) -> Scenario:
        """Take a GPU away: those after it move up, as they do when a driver starts without it."""
        gpus = (*self.gpus[:index], *self.gpus[index + 1 :])
        return dataclasses.replace(self, gpus=gpus)

    def with_lost_gpu(self, index: int) -> Scenario:
        """Lose a GPU: it is counted, but every call about it, the lookup too, says so."""
        return self.with_return("*", GPU_IS_LOST, gpu=index)

    def with_return(self, function: str, code: int, *, gpu: int | None = None) -> Scenario:
        """Make a C function, or all with ``*``, answer `code`, everywhere or about one GPU."""
        if gpu is None:
            return dataclasses.replace(self, returns={**self.returns, function: code})
        one = self.gpus[gpu]
        return self._with_gpu(
            gpu, dataclasses.replace(one, returns={**one.returns, function: code})
        )

    def with_delay(self, function: str, seconds: float, *, gpu: int | None = None) -> Scenario:
        """Make a C function, or all with ``*``, take that long; WEDGED is for ever."""
        if gpu is None:
            return dataclasses.replace(self, delays={**self.delays, function: seconds})
        one = self.gpus[gpu]
        return self._with_gpu(
            gpu, dataclasses.replace(one, delays={**one.delays, function: seconds})
        )

    def text(self) -> str:
        """Return the scenario file's content."""
        found: dict[str, Value | None] = {
            "driver_version": self.driver_version,
            "nvml_version": self.nvml_version,
            "cuda_version": self.cuda_version,
            "events_file": None if self.events_file is None else str(self.events_file),
            "call_log": None if self.call_log is None else str(self.call_log),
            **_steering(self.returns, self.delays),
            "gpu.count": len(self.gpus),
        }
        for index, gpu in enumerate(self.gpus):
            found |= {f"gpu.{index}.{key}": value for key, value in gpu.items().items()}
        return "".join(
            f"{key} = {_text(key, value)}\n" for key, value in found.items() if value is not None
        )

    def write(self, path: Path) -> None:
        """Put the scenario in place, also under a library that is reading it."""
        descriptor, fresh = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(self.text())
            Path(fresh).chmod(0o644)
            Path(fresh).replace(path)
        finally:
            Path(fresh).unlink(missing_ok=True)

    def _with_gpu(self, index: int, gpu: Gpu) -> Scenario:
        gpus = (*self.gpus[:index], gpu, *self.gpus[index + 1 :])
        return dataclasses.replace(self, gpus=gpus)


def append_event(path: Path, *, gpu: int, xid: int, event_type: int = 0x8) -> None:
    """Let an event happen: sets that registered for it before now deliver it once each."""
    with path.open("a", encoding="utf-8") as stream:
        stream.write(f"gpu={gpu} type={event_type:#x} data={xid}\n")


def healthy(count: int = 8, model: ModelName = "H200") -> Scenario:
    """Return a node of equal, idle GPUs with nothing wrong about them."""
    return Scenario(gpus=tuple(_healthy_gpu(index, model) for index in range(count)))


_BUSES: Final = (0x18, 0x2A, 0x3A, 0x5D, 0x9A, 0xAB, 0xBA, 0xDB)
"""Where an eight-GPU board usually has them."""

_ORDINARY_EVENTS: Final = 0x11F
"""ECC errors, performance state, XID, clocks, MIG configuration."""

_IDLE: Final = 0x1
_FABRIC_COMPLETED: Final = 3
_FABRIC_HEALTHY: Final = 1


def _healthy_gpu(index: int, name: ModelName) -> Gpu:
    model = MODELS[name]
    remaps = model.row_remapper_banks > 0
    more: dict[str, Value] = {
        "brand": 14,
        "architecture": model.architecture,
        "compute_capability": model.compute_capability,
        "compute_mode": 0,
        "performance_state": 0,
        "module_id": index + 1,
        "board_part_number": model.part_number,
        "vbios_version": model.vbios,
        "inforom.valid": True,
        "pci.device_id": model.pci_device_id,
        "pci.subsystem_id": 0x10DE,
        "pcie.max_generation": model.pcie_generation,
        "pcie.max_width": 16,
        "bar1.total": model.memory * MIB,
        "bar1.used": 1 * MIB,
        "clocks_event_reasons.supported": 0x1FF,
        "clock.graphics": 345,
        "clock.sm": 345,
        "clock.memory": model.memory_clock,
        "clock.max.graphics": model.sm_clock,
        "clock.max.sm": model.sm_clock,
        "clock.max.memory": model.memory_clock,
        "temperature.shutdown": 92,
        "temperature.slowdown": 89,
        "temperature.gpu_max": 87,
        "power.limit": model.power_limit * 1000,
        "power.enforced_limit": model.power_limit * 1000,
        "energy": 1_000_000,
    }
    if remaps:
        more["ecc.sram"] = (0,) * 12
    if model.nvlinks:
        more |= {"nvlink.version": model.nvlink_version, "nvlink.remote_type": 2}
    return Gpu(
        uuid=f"GPU-{uuid.uuid5(uuid.NAMESPACE_OID, f'{model.name}/{index}')}",
        name=model.name,
        serial=f"165{index:010}",
        minor_number=index,
        pci_bus_id=f"{index // len(_BUSES):08X}:{_BUSES[index % len(_BUSES)]:02X}:00.0",
        pcie_generation=model.pcie_generation,
        pcie_width=16,
        pcie_replay_counter=0,
        persistence_mode=True,
        memory_total=model.memory * MIB,
        memory_reserved=model.reserved * MIB,
        memory_used=0,
        ecc_mode=True,
        ecc_volatile_corrected=0,
        ecc_volatile_uncorrected=0,
        ecc_aggregate_corrected=0,
        ecc_aggregate_uncorrected=0,
        remapped_correctable=0 if remaps else None,
        remapped_uncorrectable=0 if remaps else None,
        remapped_pending=False if remaps else None,
        remapped_failure=False if remaps else None,
        remapped_histogram=(model.row_remapper_banks, 0, 0, 0, 0) if remaps else None,
        retired_single_bit=None if remaps else (),
        retired_double_bit=None if remaps else (),
        retired_pending=None if remaps else False,
        recovery_action=0,
        clocks_event_reasons=_IDLE,
        temperature=31,
        power_usage=model.power_limit * 110,
        utilization_gpu=0,
        utilization_memory=0,
        nvlink_states=(1,) * model.nvlinks if model.nvlinks else None,
        fabric_state=_FABRIC_COMPLETED if model.fabric else None,
        fabric_health_summary=_FABRIC_HEALTHY if model.fabric else None,
        mig_mode=False if model.mig_devices else None,
        mig_max_devices=model.mig_devices or None,
        supported_events=_ORDINARY_EVENTS,
        compute_processes=(),
        graphics_processes=(),
        more=more,
    )


def _steering(returns: Mapping[str, int], delays: Mapping[str, float]) -> dict[str, Value]:
    steering: dict[str, Value] = {f"return.{name}": code for name, code in returns.items()}
    for name, seconds in delays.items():
        steering[f"delay.{name}"] = "wedge" if seconds == WEDGED else f"{seconds:f}"
    return steering


def _text(key: str, value: Value) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    text = str(value)
    if not text.isprintable() or "#" in text:
        raise ValueError(f"{key}: a scenario file cannot hold {text!r}")
    return text
