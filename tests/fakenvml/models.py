"""GPU models for the fake driver library: what all boards of one model have in common.

The figures are of the right size, not copied from a board: tests compare with what they wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

ModelName = Literal["H200", "H100", "A100", "L40S", "T4"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Memory in MiB, power in watts, clocks in MHz, temperature in degrees Celsius."""

    name: str
    architecture: int
    compute_capability: str
    pci_device_id: int
    part_number: str
    vbios: str
    memory: int
    reserved: int
    power_limit: int
    sm_clock: int
    memory_clock: int
    pcie_generation: int
    nvlinks: int = 0
    nvlink_version: int = 0
    row_remapper_banks: int = 0
    """0: the model is older than row remapping, and retires pages instead."""
    mig_devices: int = 0
    fabric: bool = False


MODELS: Final[Mapping[ModelName, Model]] = {
    "H200": Model(
        name="NVIDIA H200",
        architecture=9,
        compute_capability="9.0",
        pci_device_id=0x233510DE,
        part_number="692-2G520-0280-501",
        vbios="96.00.BC.00.03",
        memory=143771,
        reserved=610,
        power_limit=700,
        sm_clock=1980,
        memory_clock=3201,
        pcie_generation=5,
        nvlinks=18,
        nvlink_version=6,
        row_remapper_banks=3072,
        mig_devices=7,
        fabric=True,
    ),
    "H100": Model(
        name="NVIDIA H100 80GB HBM3",
        architecture=9,
        compute_capability="9.0",
        pci_device_id=0x233010DE,
        part_number="692-2G520-0200-000",
        vbios="96.00.99.00.01",
        memory=81559,
        reserved=551,
        power_limit=700,
        sm_clock=1980,
        memory_clock=2619,
        pcie_generation=5,
        nvlinks=18,
        nvlink_version=6,
        row_remapper_banks=2560,
        mig_devices=7,
        fabric=True,
    ),
    "A100": Model(
        name="NVIDIA A100-SXM4-80GB",
        architecture=7,
        compute_capability="8.0",
        pci_device_id=0x20B210DE,
        part_number="692-2G506-0210-002",
        vbios="92.00.45.00.03",
        memory=81920,
        reserved=637,
        power_limit=400,
        sm_clock=1410,
        memory_clock=1593,
        pcie_generation=4,
        nvlinks=12,
        nvlink_version=4,
        row_remapper_banks=640,
        mig_devices=7,
    ),
    "L40S": Model(
        name="NVIDIA L40S",
        architecture=8,
        compute_capability="8.9",
        pci_device_id=0x26B910DE,
        part_number="900-2G133-0080-000",
        vbios="95.02.66.00.02",
        memory=46068,
        reserved=555,
        power_limit=350,
        sm_clock=2520,
        memory_clock=9001,
        pcie_generation=4,
        row_remapper_banks=192,
    ),
    "T4": Model(
        name="Tesla T4",
        architecture=6,
        compute_capability="7.5",
        pci_device_id=0x1EB810DE,
        part_number="900-2G183-0000-001",
        vbios="90.04.38.00.03",
        memory=15360,
        reserved=446,
        power_limit=70,
        sm_clock=1590,
        memory_clock=5001,
        pcie_generation=3,
    ),
}
