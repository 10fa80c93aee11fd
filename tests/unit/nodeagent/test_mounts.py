"""Mount tables: what is really on /dev/shm."""

from __future__ import annotations

import pytest

from nodeagent import mounts
from nodeagent.mounts import SHARED_MEMORY, Mount, described, parse, topmost


def line(
    identifier: int, parent: int, device: str, *, root: str = "/", source: str = "tmpfs"
) -> str:
    return f"{identifier} {parent} {device} {root} /dev/shm rw shared:2 - tmpfs {source} rw"


def test_the_top_mount_is_no_others_parent_whatever_the_order() -> None:
    table = parse("\n".join([line(52, 51, "0:44"), line(50, 20, "0:27"), line(51, 50, "0:47")]))
    top = topmost(table, SHARED_MEMORY)
    assert top is not None
    assert top.device == "0:44"


def test_no_mount_is_none() -> None:
    assert topmost(parse("20 1 0:5 / /dev rw - devtmpfs devtmpfs rw"), SHARED_MEMORY) is None


def test_escaped_names_are_read() -> None:
    (mount,) = parse(r"20 1 0:5 /a\040b /mnt/x\011y rw - tmpfs a\134b rw")
    assert (mount.root, mount.mount_point, mount.source) == ("/a b", "/mnt/x\ty", "a\\b")


@pytest.mark.parametrize(
    "text",
    ["", "\n\n", "1 2 3", "x y 0:1 / /dev/shm rw - tmpfs tmpfs", "1 2 0:1 / /dev/shm rw -", "\0\0"],
)
def test_what_is_cut_or_foreign_is_left_out(text: str) -> None:
    assert parse(text) == ()


@pytest.mark.parametrize(
    ("mount", "words"),
    [
        (None, "no mount at all"),
        (("0:47", "/", "tmpfs", "shm", "rw,size=65536k"), "the container runtime's own /dev/shm"),
        (("0:44", "/", "tmpfs", "tmpfs", "rw"), "medium Memory"),
        (("8:1", "/kubelet/kubernetes.io~empty-dir/x", "ext4", "/dev/sda1", "rw"), "on disk"),
        (("8:1", "/data", "xfs", "/dev/sdb1", "rw"), "xfs volume"),
    ],
    ids=["none", "runtime", "memory", "disk", "volume"],
)
def test_kinds_of_mounts(mount: tuple[str, str, str, str, str] | None, words: str) -> None:
    made = None
    if mount is not None:
        device, root, filesystem, source, options = mount
        made = Mount(9, 8, device, root, mounts.SHARED_MEMORY, filesystem, source, options)
    assert words in described(made)
