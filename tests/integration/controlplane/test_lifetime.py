"""Starting several, and ending exactly what was started, whatever happens."""

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hack.controlplane import (
    ControlPlane,
    ControlPlaneOptions,
    binaries,
    processes,
    programs,
    wait_until,
)
from hack.controlplane.cluster import REPOSITORY
from hack.controlplane.errors import NotRunning, StartFailed
from hack.controlplane.layout import Layout
from hack.controlplane.plan import State, read_state


def _state(folder: Path) -> State:
    state = read_state(Layout(folder).state)
    assert state is not None
    return state


def _alive(state: State) -> list[str]:
    everybody = {**state.servers, "supervisor": state.supervisor}
    return [name for name, identity in everybody.items() if processes.is_alive(identity)]


def _can_listen(url: str) -> bool:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            server.bind(("127.0.0.1", urlsplit(url).port))
            return True
    return False


def _cli(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hack.controlplane", *arguments],
        cwd=REPOSITORY,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    with _cli(*arguments) as process:
        out, err = process.communicate(timeout=100)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def _server(folder: Path, name: str, script: str) -> Path:
    """Write a program that passes for one of the servers until it is really started."""
    path = folder / name
    path.write_text(
        f'#!/bin/sh\nif [ "$1" = --version ]; then echo Kubernetes v1.36.3; exit; fi\n{script}\n'
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_stop_ends_everything_frees_the_port_and_removes_what_was_temporary():
    cluster = ControlPlane.start()
    state = _state(cluster.folder)
    assert len(_alive(state)) == 5
    assert not _can_listen(cluster.url)
    cluster.stop()
    assert _alive(state) == []
    assert _can_listen(cluster.url)
    assert not cluster.folder.exists()
    cluster.stop()


def test_several_start_at_the_same_moment_and_know_nothing_of_each_other(tmp_path):
    folders = [tmp_path / name for name in ("a", "b")]
    with ThreadPoolExecutor() as pool:
        clusters = list(
            pool.map(lambda folder: ControlPlane.start(ControlPlaneOptions(folder=folder)), folders)
        )
    # The threads that started them are gone: that must not end anybody.
    first, second = clusters
    with first, second:
        assert first.url != second.url
        first.kubectl("create", "namespace", "only-here")
        assert "only-here" not in second.kubectl("get", "namespaces", "-o", "name")
        states = [_state(folder) for folder in folders]
        first.stop()
        assert _alive(states[0]) == []
        assert len(_alive(states[1])) == 5
        assert second.kubectl("get", "--raw", "/readyz") == "ok"
    assert _alive(states[1]) == []


def test_a_given_folder_stays_unless_asked_and_can_be_used_again(tmp_path):
    folder = tmp_path / ("long-name-" * 12) / "cluster"
    with ControlPlane.start(ControlPlaneOptions(folder=folder)) as cluster:
        cluster.kubectl("create", "namespace", "earlier")
        with pytest.raises(StartFailed, match="already runs"):
            ControlPlane.start(ControlPlaneOptions(folder=folder))
    assert cluster.log("kube-apiserver").exists()
    cluster = ControlPlane.start(ControlPlaneOptions(folder=folder))
    assert "earlier" not in cluster.kubectl("get", "namespaces", "-o", "name")
    cluster.stop(remove=True)
    assert not folder.exists()


def test_the_sudden_end_of_the_caller_ends_everything(tmp_path):
    folder = tmp_path / "cluster"
    program = (
        "import pathlib, sys\n"
        "from hack.controlplane import *\n"
        "options = ControlPlaneOptions(folder=pathlib.Path(sys.argv[1]))\n"
        "cluster = ControlPlane.start(options)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == b"ready\n"
        state = _state(folder)
        assert len(_alive(state)) == 5
        caller.kill()
    wait_until(lambda: not _alive(state), within=30, what="the end of all servers")


def test_the_sudden_end_of_the_supervisor_ends_the_servers(tmp_path):
    with ControlPlane.start(ControlPlaneOptions(folder=tmp_path / "c")) as cluster:
        state = _state(cluster.folder)
        processes.send(state.supervisor, signal.SIGKILL)
        wait_until(lambda: not _alive(state), within=10, what="the end of all servers")
        with pytest.raises(NotRunning, match="No control plane runs in"):
            ControlPlane.attach(cluster.folder)


@pytest.mark.parametrize("name", ["kube-apiserver", "etcd"])
def test_a_killed_server_comes_back_where_it_was(name):
    with ControlPlane.start() as cluster:
        cluster.kubectl("create", "namespace", "earlier")
        before = cluster.servers()
        os.kill(before[name], signal.SIGKILL)
        wait_until(
            lambda: cluster.servers().get(name, before[name]) != before[name],
            within=20,
            what="another process",
        )
        wait_until(lambda: cluster.api.is_ok("/readyz"), within=30, what="readiness")
        assert "namespace/earlier" in cluster.kubectl("get", "ns", "-o", "name").splitlines()
        assert {**cluster.servers(), name: 0} == {**before, name: 0}
        assert cluster.log(f"{name}.previous").exists()
        assert f"{name} was ended by SIGKILL" in (cluster.folder / "supervisor.log").read_text()


def test_ctrl_c_in_the_foreground_ends_everything(tmp_path):
    folder = tmp_path / "cluster"
    with _cli("up", "--foreground", "--no-kwok", f"--folder={folder}") as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("control plane ready after"), line
        state = _state(folder)
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert rest == "stopping …\n"
    assert _alive(state) == []
    assert not folder.exists()


def test_detached_it_goes_on_until_down(tmp_path):
    folder = tmp_path / "cluster"
    where = f"--folder={folder}"
    up = _run("up", where, "--nodes=2", "--gpus=4")
    assert up.returncode == 0, up.stderr
    try:
        state = _state(folder)
        assert len(_alive(state)) == 6
        again = _run("up", where)
        assert (again.returncode, "already runs" in again.stderr) == (0, True)
        env = _run("env", where)
        assert f"export KUBECONFIG={folder}/kubeconfig" in env.stdout.splitlines()
        more = _run("nodes", where, "--count=1", "--prefix=spare")
        assert more.returncode == 0, more.stderr
        found = json.loads(ControlPlane.attach(folder).kubectl("get", "nodes", "-o", "json"))
        assert {one["metadata"]["name"] for one in found["items"]} == {
            "gpu-node-0",
            "gpu-node-1",
            "spare-0",
        }
    finally:
        down = _run("down", where)
    assert down.returncode == 0, down.stderr
    assert _alive(state) == []
    assert not folder.exists()
    assert "nothing ran" in _run("down", where).stderr
    env = _run("env", where)
    assert (env.returncode, env.stderr) == (1, f"No control plane runs in {folder}.\n")


def test_a_failing_part_is_named_with_the_end_of_its_log(tmp_path, monkeypatch, capsys):
    _server(tmp_path, "kube-scheduler", "for n in $(seq 30); do echo trouble $n; done; exit 7")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    with pytest.raises(StartFailed) as caught:
        ControlPlane.start(ControlPlaneOptions(folder=tmp_path / "cluster"))
    sentence, *tail = str(caught.value).splitlines()
    assert sentence == (
        "kube-scheduler did not start: it ended with exit status 7. The end of kube-scheduler.log:"
    )
    assert (tail[0], tail[-1]) == ("  | trouble 11", "  | trouble 30")
    state = _state(tmp_path / "cluster")
    assert set(state.servers) >= {"etcd", "kube-apiserver", "kube-controller-manager"}
    assert _alive(state) == []

    failed = _run("up", "--no-kwok", f"--folder={tmp_path / 'cluster'}")
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr
    assert f"{sentence}\n  | trouble 11\n" in failed.stderr


def test_a_part_that_never_gets_ready_is_named(tmp_path, monkeypatch):
    _server(tmp_path, "kube-scheduler", "exec sleep 100")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    with pytest.raises(StartFailed, match=r"kube-scheduler: not ready after 15 s"):
        ControlPlane.start(ControlPlaneOptions(ready_within=15))


def test_a_port_taken_in_the_last_moment_is_no_failure(tmp_path, monkeypatch):
    path = binaries.provide([programs.KUBE_SCHEDULER])[programs.KUBE_SCHEDULER]
    _server(
        tmp_path,
        "kube-scheduler",
        f"if [ ! -e {tmp_path}/tried ]; then touch {tmp_path}/tried\n"
        "echo listen tcp 127.0.0.1:1: bind: address already in use; exit 1; fi\n"
        f'exec {path} "$@"',
    )
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    with ControlPlane.start() as cluster:
        assert (tmp_path / "tried").exists()
        assert cluster.kubectl("get", "--raw", "/readyz") == "ok"


def test_what_lies_in_the_folder_already_is_left_alone(tmp_path):
    (tmp_path / "kubeconfig").write_text("precious")
    with pytest.raises(StartFailed, match="holds kubeconfig"):
        ControlPlane.start(ControlPlaneOptions(folder=tmp_path))
    assert (tmp_path / "kubeconfig").read_text() == "precious"


def test_detached_needs_a_folder():
    with pytest.raises(StartFailed, match="needs a folder"):
        ControlPlane.start(ControlPlaneOptions(detached=True))


def test_no_environment_of_the_caller_reaches_the_servers(monkeypatch):
    monkeypatch.setenv("CONTROLPLANE_TEST_MARK", "1")
    with ControlPlane.start() as cluster:
        for pid in cluster.servers().values():
            assert b"CONTROLPLANE_TEST_MARK" not in Path(f"/proc/{pid}/environ").read_bytes()
    assert os.environ["CONTROLPLANE_TEST_MARK"] == "1"
