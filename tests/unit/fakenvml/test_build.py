"""Building the library: only when needed, never into a file in use, and with a clear refusal."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.fakenvml import build as building
from tests.fakenvml.build import CompilerMissing, build
from tests.fakenvml.scenario import healthy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.fakenvml.conftest import Node


def test_a_library_that_is_up_to_date_is_left_alone(library: Path) -> None:
    before = library.stat()
    assert build(library.parent) == library
    assert library.stat().st_mtime_ns == before.st_mtime_ns
    assert library.stat().st_ino == before.st_ino


def test_a_rebuild_leaves_a_library_in_use_unharmed(node: Node) -> None:
    node.library = build(node.directory / "lib")
    child = node.start(healthy(1))
    before = node.library.stat().st_ino
    assert build(node.library.parent, variant="old") == node.library
    assert node.library.stat().st_ino != before
    assert child.ask("p.nvmlDeviceGetTemperatureV(gpu(0), 0)") == 31


def test_callers_side_by_side_get_a_whole_library(node: Node) -> None:
    out = node.directory / "lib"
    with ThreadPoolExecutor(3) as pool:
        built = set(pool.map(lambda _: build(out), range(3)))
    [node.library] = built
    assert list(out.iterdir()) == [node.library]
    assert node.start(healthy(1)).ask("p.nvmlDeviceGetCount()") == 1


def test_without_a_compiler_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CompilerMissing, match="install gcc or clang, or name one in CC"):
        build(tmp_path / "lib")
    monkeypatch.setattr("sys.argv", ["build", "--out", str(tmp_path / "lib")])
    with pytest.raises(SystemExit, match="needs a C compiler"):
        building.main()
