"""Loading, init and shutdown, what a scenario may hold, and what steers every call alike."""

from __future__ import annotations

import itertools
import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.fakenvml.models import MODELS
from tests.fakenvml.scenario import INIT, WEDGED, Gpu, Scenario, healthy
from tests.unit.fakenvml.child import Code, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.fakenvml.conftest import Node


def has_sigterm(pid: int, mask: str) -> bool:
    """Whether a process's main thread has SIGTERM in one of its signal masks."""
    with open(f"/proc/{pid}/status") as status:
        [bits] = [int(line.split()[1], 16) for line in status if line.startswith(mask)]
    return bool(bits & 1 << (signal.SIGTERM - 1))


# ---- loading ----


@pytest.mark.parametrize("by_path", [False, True], ids=["LD_LIBRARY_PATH", "by its path"])
def test_pynvml_uses_this_library(node: Node, by_path: bool) -> None:
    node.put(healthy(8))
    child = node.spawn(by_path=by_path)
    assert child.ask("p.nvmlInit()") is None
    assert child.ask("mapped_library()") == [str(node.library)]
    assert child.ask("p.nvmlDeviceGetCount()") == 8
    assert child.ask("p.nvmlSystemGetDriverVersion()") == "580.95.05"
    assert child.ask("p.nvmlSystemGetNVMLVersion()") == "13.580.95.05"
    assert child.ask("p.nvmlSystemGetCudaDriverVersion()") == 13000
    assert child.ask("p.nvmlSystemGetCudaDriverVersion_v2()") == 13000


def test_records_have_the_sizes_that_pynvml_declares(node: Node) -> None:
    node.put(healthy(1))
    sizes = node.spawn().ask("sizes()")
    known = {name: pair for name, pair in sizes.items() if pair[1]}
    assert len(known) >= 15
    assert {name: pair for name, pair in known.items() if pair[0] != pair[1]} == {}


def test_an_old_driver_lacks_the_newer_functions(node: Node, old_library: Path) -> None:
    node.put(healthy(1).with_return("nvmlDeviceGetMemoryInfo_v2", 0))
    child = node.spawn(library=old_library)
    assert child.ask("p.nvmlInit()") is None
    newer = (
        "p.nvmlDeviceGetMemoryInfo(gpu(0), version=p.nvmlMemory_v2)",
        "p.nvmlDeviceGetCurrentClocksEventReasons(gpu(0))",
        "p.nvmlDeviceGetComputeRunningProcesses_v3(gpu(0))",
        "p.nvmlDeviceGetTemperatureV(gpu(0), 0)",
        "fabric(gpu(0), 2)",
    )
    assert {call: child.ask(call) for call in newer} == dict.fromkeys(newer, Code(13))
    assert child.ask("p.nvmlDeviceGetMemoryInfo(gpu(0)).total") == 143771 << 20
    assert child.ask("p.nvmlDeviceGetCurrentClocksThrottleReasons(gpu(0))") == 1
    assert child.ask("p.nvmlDeviceGetComputeRunningProcesses_v2(gpu(0))") == []


# ---- init and shutdown ----


def test_calls_need_init_and_inits_are_counted(node: Node) -> None:
    node.put(healthy(1))
    child = node.spawn()
    count, init, shutdown = "p.nvmlDeviceGetCount()", "p.nvmlInit()", "p.nvmlShutdown()"
    child.ask("p._LoadNvmlLibrary()")
    assert child.ask(shutdown) == Code(1)
    assert child.ask(count) == Code(1)
    assert [child.ask(init), child.ask(init)] == [None, None]
    assert [child.ask(shutdown), child.ask(count)] == [None, 1]
    assert [child.ask(shutdown), child.ask(count)] == [None, Code(1)]


def test_a_handle_does_not_outlive_the_shutdown(node: Node) -> None:
    child = node.start(healthy(1))
    child.ask("[h := gpu(0)]")
    assert child.ask("p.nvmlDeviceGetIndex(h)") == 0
    child.ask("[p.nvmlShutdown(), p.nvmlInit()]")
    assert child.ask("p.nvmlDeviceGetIndex(h)") == Code(2)
    assert child.ask("p.nvmlDeviceGetIndex(p.c_nvmlDevice_t())") == Code(2)


def test_init_fails_as_told_until_the_driver_is_back(node: Node) -> None:
    node.put(healthy(1).with_return(INIT, 9))
    child = node.spawn()
    assert [child.ask("p.nvmlInit()"), child.ask("p.nvmlInit()")] == [Code(9), Code(9)]
    assert child.ask("p.nvmlDeviceGetCount()") == Code(1)
    node.put(healthy(1))
    assert child.ask("p.nvmlInit()") is None


# ---- scenarios ----


@pytest.mark.parametrize("model", MODELS)
def test_every_model_is_a_scenario_without_mistakes(node: Node, model: str) -> None:
    child = node.start(healthy(2, model))  # type: ignore[arg-type]
    assert child.ask("p.nvmlDeviceGetName(gpu(1))") == MODELS[model].name  # type: ignore[index]
    assert child.complaints == []


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        pytest.param("driver_version", "expected key = value", id="no equals sign"),
        pytest.param("= 1", "unknown key", id="no key"),
        pytest.param("driver_versoin = 1", "unknown key", id="misspelt key"),
        pytest.param("gpu.0.memory.totl = 1", "unknown key", id="misspelt attribute"),
        pytest.param("gpu.64.temperature = 1", "unknown key", id="too many GPUs"),
        pytest.param("gpu.00.temperature = 1", "unknown key", id="index with a leading zero"),
        pytest.param("gpu.0.mig.16.uuid = x", "unknown key", id="too many MIG devices"),
        pytest.param("gpu.0.mig.1.return.* = 1", "unknown key", id="no returns of a MIG device"),
        pytest.param("gpu.0.temperature = hot", "does not fit", id="not a number"),
        pytest.param("gpu.0.temperature = -1", "does not fit", id="negative"),
        pytest.param("gpu.0.temperature = 4294967296", "does not fit", id="beyond 32 bits"),
        pytest.param("gpu.0.memory.total = 17179869184 GiB", "does not fit", id="beyond 64 bits"),
        pytest.param("gpu.0.memory.total = 1 GB", "does not fit", id="not a unit"),
        pytest.param("gpu.0.ecc.mode = 2", "does not fit", id="not a switch"),
        pytest.param("gpu.0.uuid =", "does not fit", id="empty text"),
        pytest.param("gpu.0.pci.bus_id = 1B:00", "does not fit", id="not a bus id"),
        pytest.param("gpu.0.remapped_rows.histogram = 1 2 3", "does not fit", id="short list"),
        pytest.param("gpu.0.processes.compute = 12", "does not fit", id="process without memory"),
        pytest.param("gpu.0.field.230 = byte:1", "does not fit", id="unknown field type"),
        pytest.param("gpu.0.fabric.cluster_uuid = 12-34", "does not fit", id="short uuid"),
        pytest.param("return.nvmlDeviceGetCont_v2 = 1", "no such function", id="misspelt function"),
        pytest.param("return.nvmlDeviceGetCount_v2 = 1000", "does not fit", id="not a code"),
        pytest.param("delay.nvmlShutdown = -1", "does not fit", id="negative delay"),
        pytest.param("delay.nvmlShutdown = soon", "does not fit", id="not a delay"),
    ],
)
def test_a_mistake_in_the_scenario_fails_init_and_is_located(
    node: Node, line: str, complaint: str
) -> None:
    node.scenario.write_text(f"gpu.count = 1\n\n# fine so far\n{line}\n")
    child = node.spawn()
    assert child.ask("p.nvmlInit()") == Code(999)
    [said] = child.complaints
    assert said.startswith(f"fake NVML: {node.scenario}:4: ")
    assert complaint in said


def test_a_scenario_that_is_not_there_fails_init(node: Node) -> None:
    child = node.spawn()
    assert child.ask("p.nvmlInit()") == Code(999)
    unset = node.spawn(FAKE_NVML_SCENARIO="")
    assert unset.ask("p.nvmlInit()") == Code(999)
    [said], [also_said] = child.complaints, unset.complaints
    assert "No such file" in said
    assert "FAKE_NVML_SCENARIO" in also_said


def test_comments_wildcards_units_and_later_lines(node: Node) -> None:
    node.scenario.write_text(
        "# a scenario by hand\r\n"
        "gpu.count = 2   # two of them\n"
        "gpu.*.name = Fake GPU\n"
        "gpu.*.temperature = 0x20\n"
        "gpu.1.temperature = 40\n"
        "gpu.0.memory.total = 2 GiB\n"
        "gpu.0.memory.used = 3MiB\n"
        "gpu.1.temperature = 50"
    )
    child = node.spawn()
    child.ask("p.nvmlInit()")
    assert child.ask("[p.nvmlDeviceGetTemperature(gpu(i), 0) for i in (0, 1)]") == [32, 50]
    assert child.ask("p.nvmlDeviceGetName(gpu(1))") == "Fake GPU"
    memory = child.ask("p.nvmlDeviceGetMemoryInfo(gpu(0))")
    assert memory == {"total": 2 << 30, "used": 3 << 20, "free": (2 << 30) - (3 << 20)}


def test_a_change_shows_in_the_next_call(node: Node) -> None:
    child = node.start(healthy(2))
    child.ask("[h := gpu(0)]")
    temperature = "p.nvmlDeviceGetTemperature(h, 0)"
    assert child.ask(temperature) == 31
    node.put(healthy(2).with_gpu(0, temperature=88))
    assert child.ask(temperature) == 88
    with node.scenario.open("a") as stream:
        stream.write("gpu.0.temperature = 92\n")
    assert child.ask(temperature) == 92
    node.put(healthy(3))
    assert child.ask("[p.nvmlDeviceGetCount(), p.nvmlDeviceGetTemperature(h, 0)]") == [3, 31]


def test_a_broken_change_breaks_every_call_until_it_is_mended(node: Node) -> None:
    child = node.start(healthy(1))
    node.scenario.write_text("gpu.count = many\n")
    assert child.ask("p.nvmlDeviceGetCount()") == Code(999)
    assert child.ask("p.nvmlDeviceGetCount()") == Code(999)
    assert len(child.complaints) == 1
    node.scenario.unlink()
    assert child.ask("p.nvmlDeviceGetCount()") == Code(999)
    node.put(healthy(4))
    assert child.ask("p.nvmlDeviceGetCount()") == 4


# ---- what steers every call alike ----


def test_the_nearest_return_wins_and_zero_lifts_one(node: Node) -> None:
    index, name = "nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetName"
    child = node.start(
        healthy(2)
        .with_return(name, 3)
        .with_return(name, 16, gpu=1)
        .with_return("*", 15, gpu=1)
        .with_return(index, 0, gpu=1)
    )
    child.ask("[a := gpu(0), b := gpu(1)]")
    assert child.ask("code(p.nvmlDeviceGetName, a)") == 3
    assert child.ask("code(p.nvmlDeviceGetName, b)") == 16
    assert child.ask("code(p.nvmlDeviceGetUUID, b)") == 15


def test_returns_for_all_leave_the_library_usable(node: Node) -> None:
    child = node.start(healthy(1).with_return("*", 999))
    assert child.ask("p.nvmlDeviceGetCount()") == Code(999)
    assert child.ask("gpu(0)") == Code(999)
    assert child.ask("p.nvmlEventSetCreate()") == Code(999)
    assert child.ask("p.nvmlErrorString(999)") == "Unknown Error"
    assert child.ask("[p.nvmlInit(), p.nvmlShutdown(), p.nvmlShutdown()]") == [None] * 3


def test_a_delay_holds_up_one_call_and_no_other(node: Node) -> None:
    slow = healthy(2).with_delay("nvmlDeviceGetName", 0.2, gpu=1)
    child = node.start(slow)
    seconds, code = child.ask("timed(p.nvmlDeviceGetName, gpu(1))")
    assert (seconds >= 0.2, code) == (True, 0)

    node.put(healthy(2).with_delay("nvmlDeviceGetName", WEDGED, gpu=1))
    child.ask("in_background(p.nvmlDeviceGetName, gpu(1))")
    assert child.ask("[p.nvmlDeviceGetName(gpu(0)), p.nvmlDeviceGetUUID(gpu(1))[:4]]") == [
        "NVIDIA H200",
        "GPU-",
    ]


def test_a_slow_answer_is_as_of_its_end(node: Node) -> None:
    before = Scenario(gpus=(Gpu(temperature=30),), call_log=node.log)
    child = node.start(before)

    def answer_after(seconds: float) -> object:
        node.put(before.with_delay("nvmlDeviceGetTemperature", seconds))
        node.log.unlink()
        child.send("p.nvmlDeviceGetTemperature(gpu(0), 0)")
        eventually(lambda: ["nvmlDeviceGetTemperature", "0", "sleeping"] in node.logged())
        node.put(before.with_gpu(0, temperature=60))
        return child.receive()

    # On a busy machine the change may come too late for the shorter ones.
    assert any(answer_after(seconds) == 60 for seconds in (0.2, 2.0, 10.0))


def test_a_wedged_call_never_returns_and_only_sigkill_ends_it(node: Node) -> None:
    scenario = Scenario(gpus=(Gpu(),), call_log="calls")
    child = node.start(scenario.with_delay("nvmlDeviceGetCount_v2", WEDGED))
    child.send("p.nvmlDeviceGetCount()")
    eventually(lambda: ["nvmlDeviceGetCount_v2", "-", "wedged"] in node.logged())

    eventually(lambda: has_sigterm(child.pid, "SigBlk:"))
    os.kill(child.pid, signal.SIGTERM)
    assert has_sigterm(child.pid, "ShdPnd:")
    node.put(scenario)  # no way out, even so
    assert not child.answered()
    assert child.kill() == -signal.SIGKILL


def test_a_wedged_init_leaves_a_new_process_unharmed(node: Node) -> None:
    wedged = Scenario(call_log="calls").with_delay(INIT, WEDGED)
    node.put(wedged)
    child = node.spawn()
    child.send("p.nvmlInit()")
    eventually(lambda: [INIT, "-", "wedged"] in node.logged())
    child.kill()
    node.put(healthy(1))
    assert node.spawn().ask("[p.nvmlInit(), p.nvmlDeviceGetCount()]") == [None, 1]


def test_the_call_log_has_a_line_for_each_call(node: Node) -> None:
    child = node.start(Scenario(gpus=(Gpu(name="one"), Gpu()), call_log=str(node.log)))
    child.ask("[code(p.nvmlDeviceGetName, gpu(0)), code(p.nvmlDeviceGetName, gpu(1))]")
    assert node.logged() == [
        [INIT, "-", "0"],
        ["nvmlDeviceGetHandleByIndex_v2", "0", "0"],
        ["nvmlDeviceGetName", "0", "0"],
        ["nvmlDeviceGetHandleByIndex_v2", "1", "0"],
        ["nvmlDeviceGetName", "1", "3"],
    ]
    times = [float(line.split()[0]) for line in node.log.read_text().splitlines()]
    assert times == sorted(times)


def test_threads_see_whole_scenarios_while_they_are_rewritten(node: Node) -> None:
    def temperatures(number: int) -> Scenario:
        return Scenario(gpus=(Gpu(temperature=number),) * 8)

    child = node.start(temperatures(0))
    child.send("in_threads(8, distinct, 20, lambda: p.nvmlDeviceGetTemperature(gpu(7), 0))")
    numbers = itertools.cycle(range(100))
    while not child.answered():
        node.put(temperatures(next(numbers)))
    seen = child.receive()
    assert len(seen) == 8
    assert {number for answers in seen for number in answers} <= set(range(100))
    assert child.complaints == []


def test_a_fork_can_go_on_asking(node: Node) -> None:
    child = node.start(healthy(2))
    assert child.ask("in_fork(p.nvmlDeviceGetCount)") == 2
    assert child.ask("p.nvmlDeviceGetCount()") == 2


@pytest.mark.parametrize(
    ("code", "text"), [(0, "Success"), (15, "GPU is lost"), (999, "Unknown Error"), (77, "Unknown")]
)
def test_codes_have_words(node: Node, code: int, text: str) -> None:
    assert text in node.start(healthy(1)).ask(f"p.nvmlErrorString({code})")
