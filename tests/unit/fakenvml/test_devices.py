"""What the library says about GPUs: attributes, memory, errors, processes, MIG, links."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from tests.fakenvml.scenario import MIB, Failure, Gpu, MigDevice, Process, Scenario, healthy
from tests.unit.fakenvml.child import Code

if TYPE_CHECKING:
    from tests.unit.fakenvml.child import Child
    from tests.unit.fakenvml.conftest import Node

GETTERS = """
    p.nvmlDeviceGetName(h)
    p.nvmlDeviceGetUUID(h)
    p.nvmlDeviceGetSerial(h)
    p.nvmlDeviceGetBoardPartNumber(h)
    p.nvmlDeviceGetVbiosVersion(h)
    p.nvmlDeviceGetInforomImageVersion(h)
    p.nvmlDeviceValidateInforom(h)
    p.nvmlDeviceGetMinorNumber(h)
    p.nvmlDeviceGetModuleId(h)
    p.nvmlDeviceGetNumaNodeId(h)
    p.nvmlDeviceGetBrand(h)
    p.nvmlDeviceGetArchitecture(h)
    p.nvmlDeviceGetCudaComputeCapability(h)
    p.nvmlDeviceGetMemoryInfo(h)
    p.nvmlDeviceGetMemoryInfo(h,version=p.nvmlMemory_v2)
    p.nvmlDeviceGetBAR1MemoryInfo(h)
    p.nvmlDeviceGetPersistenceMode(h)
    p.nvmlDeviceGetComputeMode(h)
    p.nvmlDeviceGetPerformanceState(h)
    p.nvmlDeviceGetPowerUsage(h)
    p.nvmlDeviceGetPowerManagementLimit(h)
    p.nvmlDeviceGetEnforcedPowerLimit(h)
    p.nvmlDeviceGetTotalEnergyConsumption(h)
    p.nvmlDeviceGetCurrentClocksEventReasons(h)
    p.nvmlDeviceGetSupportedClocksEventReasons(h)
    p.nvmlDeviceGetCurrentClocksThrottleReasons(h)
    p.nvmlDeviceGetSupportedClocksThrottleReasons(h)
    p.nvmlDeviceGetUtilizationRates(h)
    p.nvmlDeviceGetTemperature(h,0)
    p.nvmlDeviceGetTemperatureV(h,0)
    p.nvmlDeviceGetTemperatureThreshold(h,3)
    p.nvmlDeviceGetClockInfo(h,1)
    p.nvmlDeviceGetMaxClockInfo(h,1)
    p.nvmlDeviceGetEccMode(h)
    p.nvmlDeviceGetTotalEccErrors(h,1,0)
    p.nvmlDeviceGetMemoryErrorCounter(h,1,0,7)
    p.nvmlDeviceGetSramEccErrorStatus(h,byref(record('c_nvmlEccSramErrorStatus_v1_t')))
    p.nvmlDeviceGetRemappedRows(h)
    p.nvmlDeviceGetRowRemapperHistogram(h)
    p.nvmlDeviceGetRetiredPages(h,0)
    p.nvmlDeviceGetRetiredPages_v2(h,1)
    p.nvmlDeviceGetRetiredPagesPendingStatus(h)
    p.nvmlDeviceGetComputeRunningProcesses(h)
    p.nvmlDeviceGetGraphicsRunningProcesses(h)
    p.nvmlDeviceGetMPSComputeRunningProcesses(h)
    p.nvmlDeviceGetMigMode(h)
    p.nvmlDeviceGetMigDeviceHandleByIndex(h,0)
    p.nvmlDeviceGetGpuInstanceId(h)
    p.nvmlDeviceGetComputeInstanceId(h)
    p.nvmlDeviceGetAttributes(h)
    p.nvmlDeviceGetPciInfo(h)
    p.nvmlDeviceGetCurrPcieLinkGeneration(h)
    p.nvmlDeviceGetCurrPcieLinkWidth(h)
    p.nvmlDeviceGetMaxPcieLinkGeneration(h)
    p.nvmlDeviceGetMaxPcieLinkWidth(h)
    p.nvmlDeviceGetPcieReplayCounter(h)
    p.nvmlDeviceGetNvLinkState(h,0)
    p.nvmlDeviceGetNvLinkVersion(h,0)
    p.nvmlDeviceGetNvLinkRemoteDeviceType(h,0)
    p.nvmlDeviceGetSupportedEventTypes(h)
    fabric(h,2)
    fabric(h,3)
""".replace("byref", "ctypes.byref").split()


def answers(child: Child, *expressions: str) -> dict[str, object]:
    return {expression: child.ask(expression) for expression in expressions}


# ---- absent, lost, gone ----


def test_an_attribute_that_is_not_given_is_not_supported(node: Node) -> None:
    child = node.start(Scenario(gpus=(Gpu(),)))
    child.ask("[h := gpu(0)]")
    assert answers(child, *GETTERS) == dict.fromkeys(GETTERS, Code(3))
    assert child.ask("fields(h, 230, 142)") == [[3, 1, 0], [3, 1, 0]]
    assert child.ask("p.nvmlDeviceGetMaxMigDeviceCount(h)") == 0


def test_a_lost_gpu_is_counted_and_fails_everywhere_but_its_sibling_is_fine(node: Node) -> None:
    scenario = healthy(3)
    lost = scenario.gpus[1]
    child = node.start(scenario)
    child.ask("[h := gpu(1)]")
    node.put(scenario.with_lost_gpu(1))
    calls = (
        *GETTERS,
        "gpu(1)",
        f"p.nvmlDeviceGetHandleByUUID({str(lost.uuid).encode()!r})",
        f"p.nvmlDeviceGetHandleBySerial({str(lost.serial).encode()!r})",
        f"p.nvmlDeviceGetHandleByPciBusId({str(lost.pci_bus_id).encode()!r})",
        "fields(h, 230)",
        "p.nvmlDeviceGetIndex(h)",
        "p.nvmlDeviceGetMaxMigDeviceCount(h)",
    )
    assert answers(child, *calls) == dict.fromkeys(calls, Code(15))
    assert child.ask("p.nvmlDeviceGetCount()") == 3
    assert child.ask("[p.nvmlDeviceGetIndex(gpu(i)) for i in (0, 2)]") == [0, 2]


def test_one_function_fails_on_one_gpu(node: Node) -> None:
    child = node.start(healthy(2).with_return("nvmlDeviceGetEccMode", 3, gpu=1))
    assert child.ask("p.nvmlDeviceGetEccMode(gpu(0))") == [1, 1]
    assert child.ask("p.nvmlDeviceGetEccMode(gpu(1))") == Code(3)
    assert child.ask("p.nvmlDeviceGetName(gpu(1))") == "NVIDIA H200"


def test_a_gpu_that_is_gone_is_lost_to_those_who_hold_it(node: Node) -> None:
    child = node.start(healthy(2))
    child.ask("[h := gpu(1)]")
    node.put(healthy(1))
    assert child.ask("p.nvmlDeviceGetName(h)") == Code(15)
    assert child.ask("gpu(1)") == Code(2)
    assert child.ask("p.nvmlDeviceGetCount()") == 1


# ---- what it is ----


def test_lookups_agree(node: Node) -> None:
    scenario = healthy(8)
    gpu = scenario.gpus[6]
    child = node.start(scenario)
    lookups = (
        f"p.nvmlDeviceGetHandleByUUID({str(gpu.uuid).encode()!r})",
        f"p.nvmlDeviceGetHandleBySerial({str(gpu.serial).encode()!r})",
        "p.nvmlDeviceGetHandleByPciBusId(b'00000000:BA:00.0')",
        "p.nvmlDeviceGetHandleByPciBusId(b'0000:ba:00.0')",
    )
    assert answers(child, *lookups) == dict.fromkeys(lookups, child.ask("gpu(6)"))
    for lookup in ("ByUUID", "BySerial", "ByPciBusId"):
        assert child.ask(f"p.nvmlDeviceGetHandle{lookup}(b'nobody')") == Code(6)


def test_a_healthy_h200(node: Node) -> None:
    child = node.start(healthy(8))
    child.ask("[h := gpu(2)]")
    expected = {
        "p.nvmlDeviceGetName(h)": "NVIDIA H200",
        "p.nvmlDeviceGetIndex(h)": 2,
        "p.nvmlDeviceGetMinorNumber(h)": 2,
        "p.nvmlDeviceGetModuleId(h)": 3,
        "p.nvmlDeviceGetBrand(h)": 14,
        "p.nvmlDeviceGetArchitecture(h)": 9,
        "p.nvmlDeviceGetCudaComputeCapability(h)": [9, 0],
        "p.nvmlDeviceGetPersistenceMode(h)": 1,
        "p.nvmlDeviceGetComputeMode(h)": 0,
        "p.nvmlDeviceGetPowerUsage(h)": 77000,
        "p.nvmlDeviceGetTemperature(h, 0)": 31,
        "p.nvmlDeviceGetTemperature(h, 1)": Code(2),
        "p.nvmlDeviceGetTemperatureV(h, 0)": 31,
        "p.nvmlDeviceGetTemperatureThreshold(h, 3)": 87,
        "p.nvmlDeviceGetTemperatureThreshold(h, 7)": Code(3),
        "p.nvmlDeviceGetMaxClockInfo(h, p.NVML_CLOCK_SM)": 1980,
        "p.nvmlDeviceGetClockInfo(h, 4)": Code(2),
        "p.nvmlDeviceGetCurrentClocksEventReasons(h)": 1,
        "p.nvmlDeviceGetUtilizationRates(h)": {"gpu": 0, "memory": 0},
        "p.nvmlDeviceGetMemoryInfo(h).total": 143771 * MIB,
        "p.nvmlDeviceGetEccMode(h)": [1, 1],
        "p.nvmlDeviceGetTotalEccErrors(h, 1, 0)": 0,
        "p.nvmlDeviceGetRemappedRows(h)": [0, 0, 0, 0],
        "p.nvmlDeviceGetRowRemapperHistogram(h).max": 3072,
        "p.nvmlDeviceGetRetiredPages(h, 0)": Code(3),
        "p.nvmlDeviceGetCurrPcieLinkGeneration(h)": 5,
        "p.nvmlDeviceGetMaxPcieLinkWidth(h)": 16,
        "p.nvmlDeviceGetNvLinkVersion(h, 17)": 6,
        "p.nvmlDeviceGetMigMode(h)": [0, 0],
        "p.nvmlDeviceValidateInforom(h)": None,
        "p.nvmlDeviceGetSupportedEventTypes(h)": 0x11F,
    }
    assert answers(child, *expected) == expected
    pci = child.ask("p.nvmlDeviceGetPciInfo(h)")
    assert pci == {
        "busIdLegacy": "0000:3A:00.0",
        "domain": 0,
        "bus": 0x3A,
        "device": 0,
        "pciDeviceId": 0x233510DE,
        "pciSubSystemId": 0x10DE,
        "busId": "00000000:3A:00.0",
    }


def test_a_text_that_does_not_fit_is_refused(node: Node) -> None:
    child = node.start(Scenario(gpus=(Gpu(serial="4" * 30),)))
    assert child.ask("p.nvmlDeviceGetSerial(gpu(0))") == Code(7)
    node.put(Scenario(gpus=(Gpu(serial="4" * 29),)))
    assert child.ask("p.nvmlDeviceGetSerial(gpu(0))") == "4" * 29


def test_a_corrupted_inforom(node: Node) -> None:
    child = node.start(Scenario(gpus=(Gpu(more={"inforom.valid": False}),)))
    assert child.ask("p.nvmlDeviceValidateInforom(gpu(0))") == Code(14)


# ---- memory ----


def test_the_older_memory_call_counts_what_is_reserved_as_used(node: Node) -> None:
    gpu = Gpu(memory_total=1000, memory_reserved=100, memory_used=300)
    child = node.start(Scenario(gpus=(gpu,)))
    child.ask("[h := gpu(0)]")
    assert child.ask("p.nvmlDeviceGetMemoryInfo(h)") == {"total": 1000, "free": 600, "used": 400}
    assert child.ask("p.nvmlDeviceGetMemoryInfo(h, version=p.nvmlMemory_v2)") == {
        "version": 0x02000028,
        "total": 1000,
        "reserved": 100,
        "free": 600,
        "used": 300,
    }
    assert child.ask("p.nvmlDeviceGetMemoryInfo(h, version=0x03000028)") == Code(25)
    assert child.ask("p.nvmlDeviceGetMemoryInfo(h, version=0x02000020)") == Code(25)


# ---- errors ----


def test_ecc_counters_are_kept_apart_and_vanish_with_ecc(node: Node) -> None:
    gpu = Gpu(
        ecc_mode=True,
        ecc_volatile_corrected=1,
        ecc_volatile_uncorrected=2,
        ecc_aggregate_corrected=3,
        ecc_aggregate_uncorrected=4,
        more={
            "ecc.pending": False,
            "ecc.volatile.uncorrected.sram": 5,
            "ecc.sram": (*range(1, 12), 1),
        },
    )
    child = node.start(Scenario(gpus=(gpu,)))
    child.ask("[h := gpu(0)]")
    total = "[code for counter in (0, 1) for type in (0, 1) for code in [%s]]"
    total %= "p.nvmlDeviceGetTotalEccErrors(h, type, counter)"
    assert child.ask(total) == [1, 2, 3, 4]
    assert child.ask("p.nvmlDeviceGetEccMode(h)") == [1, 0]
    assert child.ask("p.nvmlDeviceGetMemoryErrorCounter(h, 1, 0, 7)") == 5
    assert child.ask("p.nvmlDeviceGetMemoryErrorCounter(h, 1, 0, 2)") == Code(3)
    assert child.ask("p.nvmlDeviceGetTotalEccErrors(h, 2, 0)") == Code(2)
    status = "[s := record('c_nvmlEccSramErrorStatus_v1_t'), %s, s][-1]"
    status %= "p.nvmlDeviceGetSramEccErrorStatus(h, ctypes.byref(s))"
    sram = child.ask(status)
    assert [sram["aggregateUncParity"], sram["volatileCor"], sram["bThresholdExceeded"]] == [
        1,
        6,
        1,
    ]
    node.put(Scenario(gpus=(dataclasses.replace(gpu, ecc_mode=False),)))
    assert child.ask(total) == Code(3)


def test_remapped_rows(node: Node) -> None:
    child = node.start(
        healthy(1).with_gpu(
            0,
            remapped_correctable=3,
            remapped_uncorrectable=512,
            remapped_pending=True,
            remapped_failure=True,
            remapped_histogram=(100, 4, 3, 2, 1),
        )
    )
    assert child.ask("p.nvmlDeviceGetRemappedRows(gpu(0))") == [3, 512, 1, 1]
    assert child.ask("list(fields(gpu(0), 142, 143, 144, 145))") == [
        [0, 1, 3],
        [0, 1, 512],
        [0, 1, 1],
        [0, 1, 1],
    ]
    assert child.ask("p.nvmlDeviceGetRowRemapperHistogram(gpu(0))") == {
        "max": 100,
        "high": 4,
        "partial": 3,
        "low": 2,
        "none": 1,
    }


def test_retired_pages(node: Node) -> None:
    child = node.start(
        healthy(1, "T4").with_gpu(
            0,
            retired_single_bit=(0x1000, 0x2000),
            retired_pending=True,
            more={"retired_pages.double_bit": "0x3000@1700000000"},
        )
    )
    child.ask("[h := gpu(0)]")
    assert child.ask("p.nvmlDeviceGetRetiredPages(h, 0)") == [0x1000, 0x2000]
    assert child.ask("p.nvmlDeviceGetRetiredPages_v2(h, 1)") == [
        {"address": 0x3000, "timestamp": 1700000000}
    ]
    assert child.ask("p.nvmlDeviceGetRetiredPages(h, 2)") == Code(2)
    assert child.ask("p.nvmlDeviceGetRetiredPagesPendingStatus(h)") == 1
    node.put(healthy(1, "T4"))
    assert child.ask("p.nvmlDeviceGetRetiredPages(h, 0)") == []
    assert child.ask("p.nvmlDeviceGetRetiredPages_v2(h, 0)") == []


def test_each_field_carries_its_own_code_and_type(node: Node) -> None:
    gpu = Gpu(
        recovery_action=2,
        pcie_replay_counter=7,
        fields={186: 700000, 94: Failure(15)},
        more={
            "field.150": "ull:18446744073709551615",
            "field.193": "int:-8",
            "field.140": "double:1.5",
            "field.160.3": 9,
            "field.194": "sll:-9000000000",
            "field.195": "ushort:65535",
        },
    )
    child = node.start(Scenario(gpus=(gpu,)))
    child.ask("[h := gpu(0)]")
    assert child.ask("fields(h, 230, 186, 94, 150, 193, 140, 12, 194, 195)") == [
        [0, 1, 2],
        [0, 1, 700000],
        [15, 1, 0],
        [0, 3, (1 << 64) - 1],
        [0, 5, -8],
        [0, 0, 1.5],
        [3, 1, 0],
        [0, 4, -9000000000],
        [0, 6, 65535],
    ]
    assert child.ask("fields(h, (160, 3), (160, 4), 160)") == [[0, 1, 9], [3, 1, 0], [3, 1, 0]]
    assert child.ask("fields(h)") == Code(2)


# ---- processes ----


def test_processes_are_counted_first_and_fetched_then(node: Node) -> None:
    running = (Process(101, 600 * MIB), Process(102, None), Process(103, 0, 1, 2))
    child = node.start(
        Scenario(gpus=(Gpu(compute_processes=running, graphics_processes=()), Gpu()))
    )
    child.ask("[h := gpu(0)]")
    none = (1 << 32) - 1
    expected = [
        dict(zip(("pid", "usedGpuMemory", "gpuInstanceId", "computeInstanceId"), row, strict=True))
        for row in ((101, 600 * MIB, none, none), (102, None, none, none), (103, 0, 1, 2))
    ]
    assert child.ask("p.nvmlDeviceGetComputeRunningProcesses(h)") == expected
    assert child.ask("p.nvmlDeviceGetComputeRunningProcesses_v2(h)") == expected
    assert child.ask("p.nvmlDeviceGetGraphicsRunningProcesses(h)") == []
    assert child.ask("p.nvmlDeviceGetComputeRunningProcesses(gpu(1))") == Code(3)

    child.ask("[f := p._nvmlGetFunctionPointer('nvmlDeviceGetComputeRunningProcesses_v3')]")
    child.ask("[n := ctypes.c_uint(2), rows := (p.c_nvmlProcessInfo_v3_t * 2)()]")
    assert child.ask("[f(h, ctypes.byref(n), rows), n.value]") == [7, 3]
    assert child.ask("[n.__init__(0), f(h, ctypes.byref(n), None), n.value]") == [None, 7, 3]


# ---- MIG ----


def test_mig_devices_leave_holes(node: Node) -> None:
    parent = Gpu(
        uuid="GPU-a",
        mig_mode=True,
        mig_max_devices=4,
        compute_processes=(Process(7, 1, 1, 0), Process(8, 2, 5, 0)),
        mig_devices={
            0: MigDevice("MIG-a", 1, name="NVIDIA H200 MIG 1g.18gb", memory_total=100),
            2: MigDevice("MIG-c", 5, memory_total=100, memory_used=60),
        },
        more={"mig.2.attributes": (16, 1, 1, 0, 1, 0, 1, 1, 16384)},
    )
    child = node.start(Scenario(gpus=(parent,)))
    child.ask("[h := gpu(0), m := p.nvmlDeviceGetMigDeviceHandleByIndex(h, 2)]")
    expected = {
        "p.nvmlDeviceGetMigMode(h)": [1, 1],
        "p.nvmlDeviceGetMaxMigDeviceCount(h)": 4,
        "[code(p.nvmlDeviceGetMigDeviceHandleByIndex, h, i) for i in range(5)]": [0, 6, 0, 6, 2],
        "p.nvmlDeviceGetUUID(m)": "MIG-c",
        "p.nvmlDeviceGetName(m)": Code(3),
        "p.nvmlDeviceGetMemoryInfo(m).free": 40,
        "p.nvmlDeviceGetGpuInstanceId(m)": 5,
        "p.nvmlDeviceGetGpuInstanceId(h)": Code(3),
        "p.nvmlDeviceGetAttributes(m).memorySizeMB": 16384,
        "p.nvmlDeviceIsMigDeviceHandle(m)": 1,
        "p.nvmlDeviceIsMigDeviceHandle(h)": 0,
        "p.nvmlDeviceGetUUID(p.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(m))": "GPU-a",
        "p.nvmlDeviceGetUUID(p.nvmlDeviceGetHandleByUUID(b'MIG-a'))": "MIG-a",
        "[q.pid for q in p.nvmlDeviceGetComputeRunningProcesses(m)]": [8],
        "[q.pid for q in p.nvmlDeviceGetComputeRunningProcesses(h)]": [7, 8],
    }
    assert answers(child, *expected) == expected
    node.put(Scenario(gpus=(parent,)).with_lost_gpu(0))
    assert child.ask("p.nvmlDeviceGetUUID(m)") == Code(15)


# ---- links ----


def test_links_end_with_an_invalid_argument(node: Node) -> None:
    child = node.start(healthy(1).with_gpu(0, nvlink_states=(1, 0, 2)))
    child.ask("[h := gpu(0)]")
    states = "[p.nvmlDeviceGetNvLinkState(h, link) for link in range(3)]"
    assert child.ask(states) == [1, 0, 2]
    assert child.ask("p.nvmlDeviceGetNvLinkState(h, 3)") == Code(2)
    assert child.ask("p.nvmlDeviceGetNvLinkRemoteDeviceType(h, 3)") == Code(2)
    assert child.ask("p.nvmlDeviceGetNvLinkRemoteDeviceType(h, 2)") == 2


@pytest.mark.parametrize("newest", [2, 3])
def test_the_fabric_in_the_versions_that_the_driver_knows(node: Node, newest: int) -> None:
    gpu = Gpu(
        fabric_state=3,
        fabric_status=0,
        fabric_health_mask=0x2A,
        fabric_health_summary=2,
        more={
            "fabric.clique": 9,
            "fabric.cluster_uuid": "00112233-4455-6677-8899-aabbccddeeff",
            "fabric.newest_version": newest,
        },
    )
    child = node.start(Scenario(gpus=(gpu,)))
    child.ask("[h := gpu(0)]")
    third = child.ask("fabric(h, 3)")
    if newest == 2:
        assert third == Code(25)
    else:
        assert third["healthSummary"] == 2
    second = child.ask("fabric(h, 2)")
    assert bytes(second["clusterUuid"]).hex() == "00112233445566778899aabbccddeeff"
    rest = (second["state"], second["status"], second["cliqueId"], second["healthMask"])
    assert rest == (3, 0, 9, 0x2A)
    wrong = "p.nvmlDeviceGetGpuFabricInfoV(h, ctypes.byref(record('c_nvmlGpuFabricInfo_v3_t', 1)))"
    assert child.ask(wrong) == Code(25)
    first = "[i := record('c_nvmlGpuFabricInfo_t'), %s, i.state][-1]"
    assert child.ask(first % "p.nvmlDeviceGetGpuFabricInfo(h, ctypes.byref(i))") == 3
