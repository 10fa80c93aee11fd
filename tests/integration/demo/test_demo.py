"""`make demo` as a newcomer meets it: what it prints, what it shows, and what it leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hack.controlplane import ControlPlane, wait_until
from hack.demo.background import Background
from hack.demo.scene import scenes
from tests.integration.harness import REPOSITORY


@dataclass
class Demo:
    folder: Path
    printed: str
    control_plane: ControlPlane

    def status(self) -> dict[str, Any]:
        engine = json.loads(self.control_plane.kubectl("get", "lmc", "my-cache", "-o", "json"))
        found: dict[str, Any] = engine["status"]
        return found

    def node(self, name: str) -> dict[str, Any]:
        return next((node for node in self.status()["nodes"] if node["name"] == name), {})

    def condition(self, type_: str) -> dict[str, Any]:
        conditions = self.status()["conditions"]
        return next(entry for entry in conditions if entry["type"] == type_)


def _run(command: str, folder: Path) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "hack.demo", command, f"--folder={folder}"],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo") / "it"
    try:
        printed = _run("up", folder)
        yield Demo(folder, printed, ControlPlane.attach(folder / "controlplane"))
    finally:
        _run("down", folder)
        assert not folder.exists()
        ours = subprocess.run(
            ["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True
        ).stdout
        assert str(folder) not in ours


def test_it_shows_the_engine_and_what_to_try(demo: Demo) -> None:
    for words in (
        "$ kubectl get lmc",
        "NAME       PHASE",
        "$ kubectl describe lmc my-cache",
        "export KUBECONFIG=",
        "Three things to try",
        "simulated drivers" if not os.path.exists("/dev/nvidiactl") else "real",
    ):
        assert words in demo.printed


def test_all_four_nodes_are_told_apart(demo: Demo) -> None:
    states = {node["name"]: (node["state"], node["reason"]) for node in demo.status()["nodes"]}
    assert states == {
        "gpu-node-0": ("Healthy", "ChecksPassed"),
        "gpu-node-1": ("Failing", "GpuLost"),
        "gpu-node-2": ("Failing", "L1MemoryShort"),
        "gpu-node-3": ("Unknown", "AgentSilent"),
    }
    summary = demo.status()["nodeSummary"]
    assert (summary["healthy"], summary["failing"], summary["unknown"]) == (1, 2, 1)
    assert demo.condition("GPUVisible")["reason"] == "GpuLost"
    assert demo.condition("SharedMemoryReady")["status"] == "True"
    assert demo.condition("L1MemoryReady")["reason"] == "L1MemoryShort"
    assert demo.condition("NodesHealthy")["status"] == "False"
    assert demo.condition("Ready")["reason"] == "NodeFailing"


def test_a_simulated_driver_is_visible_as_such(demo: Demo) -> None:
    message = demo.node("gpu-node-0")["message"]
    assert str(demo.folder) in message or "real" in demo.printed


def test_a_lost_gpu_is_in_the_status_within_two_seconds_and_back_after_it_has_held(
    demo: Demo,
) -> None:
    scene = scenes()[0]
    scenario = demo.folder / "nodes" / scene.name / "gpus.scenario"
    # Status writes come at most once a second: begin with a quiet engine.
    began = time.monotonic()
    scene.gpus.with_lost_gpu(5).write(scenario)
    wait_until(lambda: demo.node(scene.name)["reason"] == "GpuLost", within=2, what="the lost GPU")
    took = time.monotonic() - began
    node = demo.node(scene.name)
    assert node["gpus"] == "7/8"
    assert "GPU 5" in node["message"]
    assert "GPU 5" in demo.condition("GPUVisible")["message"]
    scene.gpus.write(scenario)
    wait_until(
        lambda: demo.node(scene.name)["state"] == "Healthy", within=20, what="the GPU to be back"
    )
    sys.stdout.write(f"\nGPU lost -> condition: {took:.2f} s\n")


def test_a_port_change_reaches_the_agents_judgement_without_a_false_alarm(demo: Demo) -> None:
    demo.control_plane.kubectl(
        "patch", "lmc", "my-cache", "--type=merge", "-p", '{"spec":{"server":{"port":6555}}}'
    )
    wait_until(
        lambda: (
            {e["port"] for e in demo.status()["endpoints"]} == {6555}
            and demo.status()["readyInstances"] == 4
            and demo.node("gpu-node-0")["state"] == "Healthy"
        ),
        within=60,
        what="the new port everywhere and the healthy node healthy",
    )


def test_a_deleted_child_comes_back(demo: Demo) -> None:
    demo.control_plane.kubectl("delete", "service", "my-cache")
    wait_until(
        lambda: demo.control_plane.kubectl("get", "service", "my-cache", "--ignore-not-found"),
        within=2,
        what="the Service",
    )


def test_an_agent_that_comes_back_is_heard(demo: Demo) -> None:
    background = Background(demo.folder)
    assert not background.runs("agent-gpu-node-3")
    assert background.runs("agent-gpu-node-0")
    stopped = background.stop("agent-gpu-node-0")
    assert stopped == ["agent-gpu-node-0"]
    wait_until(
        lambda: demo.node("gpu-node-0")["reason"] == "AgentSilent",
        within=30,
        what="the silence to be noticed",
    )
    assert demo.condition("Ready")["reason"] == "NodeFailing", "silence does not touch Ready"


def test_a_second_up_shows_what_runs(demo: Demo) -> None:
    assert "the demo runs already" in _run("up", demo.folder)
