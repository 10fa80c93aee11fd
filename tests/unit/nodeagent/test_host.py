"""The host under a root: what is read, and how a failed read is told apart."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hack.demo.host_root import HOST_DEVICE, HostRoot
from nodeagent.errors import Absent, Denied, HostReadError, Unreadable
from nodeagent.host import Host, PciGpu

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(HostRoot(pci_gpus=2).write(tmp_path))


def test_facts_come_from_below_the_root(host: Host) -> None:
    assert host.boot_id() == HostRoot().boot_id
    assert host.boot_time() == 1_700_000_000
    assert list(host.process_ids()) == [1]
    assert host.pci_gpus() == (
        PciGpu("0000:01:00.0", "nvidia"),
        PciGpu("0000:02:00.0", "nvidia"),
    )


def test_other_devices_on_the_bus_are_no_gpus(host: Host) -> None:
    devices = host.root / "sys/bus/pci/devices"
    for name, vendor, kind in (("x", "0x8086", "0x030000"), ("y", "0x10de", "0x0c0330")):
        (devices / name).mkdir()
        (devices / name / "vendor").write_text(vendor)
        (devices / name / "class").write_text(kind)
    assert len(host.pci_gpus()) == 2


def test_a_plain_directory_is_known_by_the_first_process(host: Host) -> None:
    assert host.shared_memory_identity() == (HOST_DEVICE, "/")


def test_a_mounted_directory_is_known_by_its_own_device() -> None:
    status = os.stat("/dev/shm")
    if status.st_dev == os.stat("/dev").st_dev:
        pytest.skip("this machine has no mount on /dev/shm")
    device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    assert Host().shared_memory_identity() == (device, "/")


def test_what_is_not_there_is_absent(host: Host) -> None:
    with pytest.raises(Absent, match="/proc/77/cgroup: No such file"):
        host.read_process(77, "cgroup")


def test_what_is_refused_names_the_capability(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(Denied) as caught:
        host.read_process(1, "mountinfo")
    assert caught.value.capability == "CAP_SYS_PTRACE"
    with pytest.raises(Denied) as caught:
        host.read("sys/fs/cgroup/memory.max")
    assert caught.value.capability == "CAP_DAC_READ_SEARCH"


def test_a_read_that_fails_is_unreadable(host: Host) -> None:
    with pytest.raises(Unreadable):
        host.read("proc")


def test_text_that_is_not_utf_8_is_kept(host: Host) -> None:
    (host.root / "proc/1/cmdline").write_bytes(b"a\xffb\0")
    assert host.read_process(1, "cmdline") == "a�b\0"


def test_an_empty_root_has_an_error_for_everything(tmp_path: Path) -> None:
    host = Host(tmp_path)
    assert (host.boot_id(), host.boot_time()) == ("", None)
    for read in (
        host.pci_gpus,
        host.shared_memory_identity,
        host.shared_memory_space,
        lambda: list(host.process_ids()),
    ):
        with pytest.raises(HostReadError):
            read()
