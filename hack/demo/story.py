"""What `make demo` does, step by step, and what `make demo-down` undoes."""

from __future__ import annotations

import base64
import ctypes.util
import json
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hack.controlplane import (
    ControlPlane,
    ControlPlaneOptions,
    FakeNodes,
    wait_until,
)
from hack.controlplane.cluster import bring_down as control_plane_down
from hack.controlplane.errors import NotRunning, TimedOut
from hack.controlplane.processes import free_port
from hack.demo.background import Background
from hack.demo.hosts import Hosts
from hack.demo.scene import NodeScene, scenes
from tests.fakenvml.build import CompilerMissing
from tests.fakenvml.build import build as build_driver

REPOSITORY = Path(__file__).resolve().parents[2]
SYSTEM_NAMESPACE = "lmcache-operator-system"
# Everything at the pace of a demo: a node is silent after 3 x 2 + 5 seconds.
REPORT_INTERVAL = "2"
ROUND_INTERVAL = "2"
RECOVERY_ROUNDS = "2"
SAMPLES = ("minimal.yaml",)


class DemoFailed(Exception):
    """A step did not work; the text says which and shows the end of the log."""


def bring_up(folder: Path) -> None:
    """Start everything and show it."""
    began = time.monotonic()
    background = Background(folder)
    if background.runs("coordinator"):
        _say("the demo runs already; `make demo-down` ends it")
        show(ControlPlane.attach(folder / "controlplane"), folder)
        return
    folder.mkdir(parents=True, exist_ok=True)
    cast = scenes()
    with _step("control plane") as note:
        control_plane = _control_plane(folder / "controlplane", note)
    with _step(f"{len(cast)} GPU nodes"):
        control_plane.add_nodes(FakeNodes(count=len(cast)))
        control_plane.kubectl("apply", "-f", str(REPOSITORY / "hack/demo/cluster.yaml"))
    with _step("operator: CRD, roles, coordinator"):
        _install(control_plane)
        ports = _start_coordinator(control_plane, background, folder)
    with _step("node agents") as note:
        hosts = Hosts(folder / "nodes", cast)
        note(_start_agents(background, hosts, cast, folder, ports["agents"]))
    with _step(f"engine: deploy/samples/{', '.join(SAMPLES)}"):
        for sample in SAMPLES:
            control_plane.kubectl("apply", "-f", str(REPOSITORY / "deploy/samples" / sample))
        _await_engine(control_plane, background, lambda status: status.get("readyInstances") == 4)
    with _step("every agent has judged its node, and one falls silent"):
        _await_engine(control_plane, background, _all_judged)
        for scene in cast:
            if scene.falls_silent:
                background.stop(f"agent-{scene.name}")
        _await_engine(control_plane, background, _one_silent)
    show(control_plane, folder)
    _say(f"ready after {time.monotonic() - began:.0f} s")


def bring_down(folder: Path) -> None:
    """End everything that the demo started, and remove its folder."""
    ended = Background(folder).stop()
    if control_plane_down(folder / "controlplane"):
        ended.append("control plane")
    shutil.rmtree(folder / "nodes", ignore_errors=True)
    for left in [*folder.glob("*.log"), *folder.glob("*.json"), *folder.glob("*.kubeconfig")]:
        left.unlink()
    if folder.exists() and not any(folder.iterdir()):
        folder.rmdir()
    _say(f"ended: {', '.join(ended)}" if ended else "nothing was running")


def show(control_plane: ControlPlane, folder: Path) -> None:
    """Print what a user would look at, and what to try next."""
    for command in (("get", "nodes"), ("get", "lmc"), ("describe", "lmc", "my-cache")):
        _say(f"\n$ kubectl {' '.join(command)}")
        _say(control_plane.kubectl(*command).rstrip())
    kubectl = shlex.quote(str(control_plane.kubectl_path))
    scenario = shlex.quote(str(folder / "nodes/gpu-node-1/gpus.scenario"))
    _say(
        f"""
Everything goes on running. To look around:

  export KUBECONFIG={shlex.quote(str(control_plane.kubeconfig))}
  alias kubectl={kubectl}

Three things to try:

  1. change the port, and see it in the DaemonSet, the Service, the ConfigMap and the status
       kubectl patch lmc my-cache --type=merge -p '{{"spec":{{"server":{{"port":6555}}}}}}'
       kubectl get lmc,ds,svc,cm -o wide
  2. delete a child, and see it come back
       kubectl delete daemonset my-cache; kubectl get daemonset my-cache
  3. add a node, and see its pod and the status follow
       {shlex.quote(sys.executable)} -m hack.controlplane nodes --folder \
{shlex.quote(str(control_plane.folder))} --count 1 --prefix new-node
       kubectl get lmc my-cache

And one more: mend the GPU (`echo 'gpu.3.return.* = 0' >> {scenario}`),
and watch `kubectl get lmc my-cache -o wide --watch`.

`make demo-down` ends it all."""
    )


def _control_plane(folder: Path, note: Callable[[str], None]) -> ControlPlane:
    try:
        return ControlPlane.attach(folder)
    except NotRunning:
        options = ControlPlaneOptions(folder=folder, kwok=True, detached=True)
        return ControlPlane.start(options, report=note)


def _install(control_plane: ControlPlane) -> None:
    """Apply deploy/base but for what runs here as processes instead of pods."""
    rendered = control_plane.kubectl("kustomize", str(REPOSITORY / "deploy/base"))
    wanted = [
        document
        for document in rendered.split("\n---\n")
        if "\nkind: Deployment\n" not in f"\n{document}\n"
        and "\nkind: DaemonSet\n" not in f"\n{document}\n"
    ]
    control_plane.kubectl("apply", "--server-side", "-f", "-", stdin="\n---\n".join(wanted))
    control_plane.kubectl(
        "wait", "--for=condition=Established", "crd/lmcacheengines.lmcache.lmcache.ai"
    )


def _start_coordinator(
    control_plane: ControlPlane, background: Background, folder: Path
) -> dict[str, int]:
    """Run the coordinator under its own ServiceAccount, as in a cluster."""
    token = control_plane.kubectl(
        "create", "token", "lmcache-coordinator", "-n", SYSTEM_NAMESPACE, "--duration=168h"
    ).strip()
    kubeconfig = folder / "coordinator.kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(json.dumps(_kubeconfig(control_plane, token)))
    ports = {"http": free_port(host="127.0.0.1"), "agents": free_port(host="127.0.0.1")}
    background.start(
        "coordinator",
        [
            sys.executable,
            "-m",
            "coordinator",
            f"--kubeconfig={kubeconfig}",
            f"--http-address=127.0.0.1:{ports['http']}",
            f"--agents-address=127.0.0.1:{ports['agents']}",
            "--agents-tls=off",
            f"--report-interval={REPORT_INTERVAL}",
        ],
        environ={"PYTHONPATH": str(REPOSITORY)},
    )
    _await_line(background, "coordinator", " ready ")
    return ports


def _start_agents(
    background: Background, hosts: Hosts, cast: tuple[NodeScene, ...], folder: Path, port: int
) -> str:
    """Run one agent per node; returns in words which driver they look through."""
    hosts.write_all()
    environ, driver = _driver(folder)
    background.start(
        "hosts",
        [sys.executable, "-m", "hack.demo", "hosts", f"--folder={folder}"],
        environ={"PYTHONPATH": str(REPOSITORY)},
    )
    for scene in cast:
        background.start(
            f"agent-{scene.name}",
            [
                sys.executable,
                "-m",
                "nodeagent",
                f"--node-name={scene.name}",
                f"--coordinator=127.0.0.1:{port}",
                "--insecure=true",
                f"--host-root={hosts.root(scene.name)}",
                "--listen=127.0.0.1:0",
                f"--round-interval={ROUND_INTERVAL}",
                f"--recovery-rounds={RECOVERY_ROUNDS}",
            ],
            environ={
                **environ,
                "FAKE_NVML_SCENARIO": str(hosts.scenario(scene.name)),
                "PYTHONPATH": str(REPOSITORY),
            },
        )
    return driver


def _driver(folder: Path) -> tuple[dict[str, str], str]:
    real = ctypes.util.find_library("nvidia-ml")
    if real:
        return {}, f"the machine's own NVML ({real}); its GPUs are real, the hosts are simulated"
    try:
        library = build_driver(folder / "nodes/driver")
    except CompilerMissing as error:
        raise DemoFailed(str(error)) from error
    return {"LD_LIBRARY_PATH": str(library.parent)}, "no GPU here: they look at simulated drivers"


def _kubeconfig(control_plane: ControlPlane, token: str) -> dict[str, Any]:
    authority = Path(control_plane.certificate_authority).read_bytes()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "demo",
        "contexts": [{"name": "demo", "context": {"cluster": "demo", "user": "demo"}}],
        "clusters": [
            {
                "name": "demo",
                "cluster": {
                    "server": control_plane.url,
                    "certificate-authority-data": base64.b64encode(authority).decode(),
                },
            }
        ],
        "users": [{"name": "demo", "user": {"token": token}}],
    }


def _await_line(background: Background, name: str, words: str) -> None:
    log = background.log(name)
    try:
        wait_until(
            lambda: words in log.read_text() or not background.runs(name),
            within=60,
            what=f"{name} to start",
        )
    except TimedOut as error:
        raise DemoFailed(f"{error}\n{_tail(log)}") from error
    if words not in log.read_text():
        raise DemoFailed(f"{name} has ended:\n{_tail(log)}")


def _await_engine(
    control_plane: ControlPlane, background: Background, is_there: Callable[[Any], bool]
) -> None:
    def look() -> bool:
        engine = json.loads(control_plane.kubectl("get", "lmc", "my-cache", "-o", "json"))
        return is_there(engine.get("status", {}))

    try:
        wait_until(look, within=90, what="the engine's status", every=0.3)
    except TimedOut as error:
        raise DemoFailed(f"{error}\n{_tail(background.log('coordinator'))}") from error


def _all_judged(status: Any) -> bool:
    states = sorted(node["state"] for node in status.get("nodes", []))
    return states == ["Failing", "Failing", "Healthy", "Healthy"]


def _one_silent(status: Any) -> bool:
    return any(node["reason"] == "AgentSilent" for node in status.get("nodes", []))


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextmanager
def _step(title: str) -> Iterator[Callable[[str], None]]:
    """Print a step with its duration; what it has to tell goes below it, indented."""
    began = time.monotonic()
    _say(f"==> {title}")
    yield lambda line: _say(f"    {line}")
    _say(f"    {time.monotonic() - began:.1f} s")
