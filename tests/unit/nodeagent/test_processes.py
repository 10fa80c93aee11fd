"""The processes of pods: who is whose, and what of a command line is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hack.demo.host_root import HostProcess, HostRoot, vllm
from nodeagent.host import Host
from nodeagent.kv_transfer import Target
from nodeagent.processes import ProcessScanner, scan

if TYPE_CHECKING:
    from pathlib import Path

ENGINE_POD = "6f1f4c0e-7d0e-4f3e-9a55-0c0ffee0c0de"
CLIENT_POD = "11111111-2222-3333-4444-555555555555"


def host_with(root: Path, *processes: HostProcess) -> Host:
    return Host(HostRoot(processes=processes).write(root))


def test_processes_are_grouped_by_pod(tmp_path: Path) -> None:
    table = scan(
        host_with(
            tmp_path,
            HostProcess(10, ENGINE_POD),
            HostProcess(11, ENGINE_POD),
            vllm(20, CLIENT_POD, host="c.d.svc", port=5555),
        )
    )
    assert {uid: len(processes) for uid, processes in table.pods.items()} == {
        ENGINE_POD: 2,
        CLIENT_POD: 1,
    }
    assert table.pods[CLIENT_POD][0].target == Target("c.d.svc", 5555)
    assert table.scanned == 4


@pytest.mark.parametrize(
    "arguments",
    [
        ("lmcache", "server", "--port", "5555"),
        ("/opt/venv/bin/python", "/opt/venv/bin/lmcache", "server"),
        ("python3", "-m", "lmcache.v1.multiprocess.server"),
    ],
    ids=["plain", "interpreter", "module"],
)
def test_the_container_of_the_server_is_told_from_gateway_and_sandbox(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    table = scan(
        host_with(
            tmp_path,
            HostProcess(9, ENGINE_POD, arguments=("/pause",), container="sandbox"),
            HostProcess(10, ENGINE_POD, arguments=arguments),
            HostProcess(11, ENGINE_POD, arguments=("worker",)),
            HostProcess(12, ENGINE_POD, arguments=("python", "gateway.py"), container="gateway"),
        )
    )
    assert {process.pid for process in table.container_of_server([ENGINE_POD])} == {10, 11}


def test_without_a_name_every_container_but_the_sandbox_may_be_the_server(tmp_path: Path) -> None:
    table = scan(
        host_with(
            tmp_path,
            HostProcess(9, ENGINE_POD, arguments=("/pause",), container="sandbox"),
            HostProcess(10, ENGINE_POD, arguments=("/entrypoint",)),
            HostProcess(11, ENGINE_POD, arguments=("python", "/gateway.py"), container="gateway"),
        )
    )
    assert [process.pid for process in table.container_of_server([ENGINE_POD])] == [10]


def test_nothing_else_of_a_command_line_is_kept(tmp_path: Path) -> None:
    arguments = ("vllm", "serve", "--api-key", "secret-of-the-user")
    table = scan(host_with(tmp_path, HostProcess(20, CLIENT_POD, arguments=arguments)))
    assert "secret-of-the-user" not in repr(table)


def test_processes_that_end_meanwhile_and_garbage_are_left_out(tmp_path: Path) -> None:
    host = host_with(tmp_path, HostProcess(10, ENGINE_POD))
    (tmp_path / "proc/20").mkdir()
    (tmp_path / "proc/30").mkdir()
    (tmp_path / "proc/30/cgroup").write_bytes(b"\xff\x00:::\n" * 100)
    (tmp_path / "proc/30/cmdline").write_bytes(b"")
    (tmp_path / "proc/40").write_text("not a directory")
    assert list(scan(host).pods) == [ENGINE_POD]


def test_a_round_scans_once(tmp_path: Path) -> None:
    now = 0.0
    scanner = ProcessScanner(host_with(tmp_path, HostProcess(10, ENGINE_POD)), clock=lambda: now)
    first = scanner.table()
    now = 0.5
    assert scanner.table() is first
    now = 2.0
    assert scanner.table() is not first
