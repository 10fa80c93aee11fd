"""Scenarios as values, and the text that they become."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.fakenvml import scenario as module
from tests.fakenvml.scenario import (
    INIT,
    WEDGED,
    Failure,
    Gpu,
    MigDevice,
    Process,
    Scenario,
    append_event,
    healthy,
)


def test_everything_that_is_given_becomes_a_line() -> None:
    scenario = Scenario(
        gpus=(
            Gpu(
                uuid="GPU-a",
                ecc_mode=True,
                remapped_pending=False,
                nvlink_states=(1, 0),
                compute_processes=(Process(5, 1024), Process(6, None, 1, 0)),
                graphics_processes=(),
                mig_devices={3: MigDevice("MIG-a", 2, memory_used=7)},
                fields={230: 1, 94: Failure(3)},
                returns={"nvmlDeviceGetName": 4},
                delays={"*": 0.5},
                more={"clock.sm": 345},
            ),
            Gpu(),
        ),
        driver_version=None,
        events_file=Path("events"),
        delays={INIT: WEDGED},
    )
    assert scenario.text().splitlines() == [
        "nvml_version = 13.580.95.05",
        "cuda_version = 13.0",
        "events_file = events",
        "delay.nvmlInitWithFlags = wedge",
        "gpu.count = 2",
        "gpu.0.uuid = GPU-a",
        "gpu.0.ecc.mode = on",
        "gpu.0.remapped_rows.pending = off",
        "gpu.0.nvlink.states = 1 0",
        "gpu.0.processes.compute = 5:1024 6:na:1:0",
        "gpu.0.processes.graphics = ",
        "gpu.0.mig.3.uuid = MIG-a",
        "gpu.0.mig.3.gpu_instance = 2",
        "gpu.0.mig.3.compute_instance = 0",
        "gpu.0.mig.3.memory.used = 7",
        "gpu.0.field.230 = 1",
        "gpu.0.field.94 = error:3",
        "gpu.0.return.nvmlDeviceGetName = 4",
        "gpu.0.delay.* = 0.500000",
        "gpu.0.clock.sm = 345",
    ]


def test_a_change_makes_a_copy() -> None:
    before = healthy(2)
    after = before.with_lost_gpu(1).with_gpu(0, temperature=90).with_return("nvmlShutdown", 3)
    after = after.with_delay("*", 1.0, gpu=0)
    after = after.with_key(0, "clock.sm", 300)
    assert before == healthy(2)
    assert after.gpus[0].more == {**before.gpus[0].more, "clock.sm": 300}
    assert after.without_gpu(0).gpus == after.gpus[1:]
    assert (after.gpus[0].temperature, after.gpus[1].returns) == (90, {"*": 15})
    assert (after.gpus[0].delays, after.returns) == ({"*": 1.0}, {"nvmlShutdown": 3})


def test_healthy_gpus_are_told_apart() -> None:
    gpus = healthy(16).gpus
    for attribute in ("uuid", "serial", "pci_bus_id", "minor_number"):
        assert len({getattr(gpu, attribute) for gpu in gpus}) == 16


@pytest.mark.parametrize("text", ["two\nlines", "a # comment", "a\0b"])
def test_a_text_that_the_file_cannot_hold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"gpu\.0\.name"):
        Scenario(gpus=(Gpu(name=text),)).text()


def test_writing_replaces_the_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "scenario"
    healthy(1).write(path)
    first = path.stat().st_ino
    healthy(1).write(path)
    assert path.stat().st_ino != first
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_events_are_appended(tmp_path: Path) -> None:
    append_event(tmp_path / "events", gpu=0, xid=79)
    append_event(tmp_path / "events", gpu=3, xid=0, event_type=0x8000)
    lines = (tmp_path / "events").read_text().splitlines()
    assert lines == ["gpu=0 type=0x8 data=79", "gpu=3 type=0x8000 data=0"]


def test_the_readme_names_every_key() -> None:
    folder = Path(module.__file__).parent
    rules = re.findall(r'\{"([a-z0-9_.#]+)", is_', (folder / "keys.c").read_text())
    documented = set(re.findall(r"`([a-z0-9_.#<>]+)`", (folder / "README.md").read_text()))
    assert len(rules) > 80
    assert [rule for rule in rules if rule not in documented] == []
