"""Recognising a process, and ending that one and no other."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from hack.controlplane import processes
from hack.controlplane.plan import State, read_state
from hack.controlplane.waiting import wait_until


def _proc(folder: Path, *, name: str = "etcd", state: str = "S", start: int = 777) -> None:
    pid = 42
    (folder / "sys/kernel/random").mkdir(parents=True, exist_ok=True)
    (folder / "sys/kernel/random/boot_id").write_text("this-boot\n")
    (folder / str(pid)).mkdir(exist_ok=True)
    between = " ".join(["0"] * 18)
    (folder / str(pid) / "stat").write_text(f"{pid} ({name}) {state} {between} {start} 0 0\n")


def _identity(pid: int, *, proc: Path = processes.PROC) -> processes.Identity:
    found = processes.identity_of(pid, proc=proc)
    assert found is not None
    return found


def test_the_start_time_is_read_past_any_program_name(tmp_path):
    _proc(tmp_path, name="a) S 1 (b")
    found = processes.identity_of(42, proc=tmp_path)
    assert found == processes.Identity(pid=42, start_time=777, boot_id="this-boot")


def test_a_reused_number_is_another_process(tmp_path):
    _proc(tmp_path)
    before = _identity(42, proc=tmp_path)
    assert processes.is_alive(before, proc=tmp_path)
    _proc(tmp_path, start=778)
    assert not processes.is_alive(before, proc=tmp_path)


def test_a_number_of_another_boot_is_another_process(tmp_path):
    _proc(tmp_path)
    before = _identity(42, proc=tmp_path)
    (tmp_path / "sys/kernel/random/boot_id").write_text("next-boot\n")
    assert not processes.is_alive(before, proc=tmp_path)


def test_zombies_and_the_absent_are_not_alive(tmp_path):
    _proc(tmp_path, state="Z")
    assert processes.identity_of(42, proc=tmp_path) is None
    assert processes.identity_of(43, proc=tmp_path) is None


def test_a_signal_reaches_the_process_it_is_meant_for_only():
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        child_identity = _identity(child.pid)
        stranger = replace(child_identity, start_time=child_identity.start_time + 1)
        assert processes.send(stranger, signal.SIGKILL) is False
        assert child.poll() is None
        assert processes.send(child_identity, signal.SIGKILL) is True
        assert child.wait(timeout=10) == -signal.SIGKILL
    assert processes.send(child_identity, signal.SIGKILL) is False


def test_a_started_process_dies_with_the_one_that_started_it(tmp_path):
    program = (
        "import sys, pathlib\n"
        "from hack.controlplane import processes\n"
        "child = processes.start(['sleep', '60'], folder=pathlib.Path(sys.argv[1]),\n"
        "    log=pathlib.Path(sys.argv[1]) / 'log', environ={'PATH': '/usr/bin:/bin'})\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as starter:
        assert starter.stdout is not None
        child = _identity(int(starter.stdout.readline()))
        starter.kill()
        starter.wait(timeout=10)
    wait_until(lambda: not processes.is_alive(child), within=10, what="the end of the child")


def test_a_state_comes_back_as_it_was_written(tmp_path):
    identity = processes.Identity(pid=1, start_time=2, boot_id="b")
    state = State(supervisor=identity, ready=True, url="u", servers={"etcd": identity})
    state.write(tmp_path / "state.json")
    assert read_state(tmp_path / "state.json") == state
    assert [one.name for one in tmp_path.iterdir()] == ["state.json"]


def test_a_broken_state_is_no_state(tmp_path):
    for number, text in enumerate(["", "{", "[]", "{}", '{"supervisor": {}}']):
        broken = tmp_path / str(number)
        broken.write_text(text)
        assert read_state(broken) is None
    assert read_state(tmp_path / "absent") is None
