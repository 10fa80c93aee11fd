"""A node with a fake driver, and processes on it that use pynvml as it is."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import pytest

from tests.fakenvml.build import CompilerMissing, build
from tests.unit.fakenvml.child import Child

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fakenvml.scenario import Scenario


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of a current driver."""
    try:
        return build(tmp_path_factory.mktemp("current"))
    except CompilerMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def old_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of a driver that lacks the newer functions."""
    try:
        return build(tmp_path_factory.mktemp("old"), variant="old")
    except CompilerMissing as error:
        pytest.skip(str(error))


class Node:
    """A scenario file and the processes that live under it."""

    def __init__(self, library: Path, directory: Path) -> None:
        self.library = library
        self.directory = directory
        self.scenario = directory / "scenario"
        self.events = directory / "events"
        self.log = directory / "calls"
        self._children: list[Child] = []
        self._numbers = itertools.count()

    def put(self, scenario: Scenario) -> None:
        scenario.write(self.scenario)

    def spawn(self, *, library: Path | None = None, by_path: bool = False, **more: str) -> Child:
        """Start a process; `more` are further environment variables."""
        chosen = library or self.library
        environment = {"FAKE_NVML_SCENARIO": str(self.scenario)}
        if by_path:
            environment["PRELOAD"] = str(chosen)
        else:
            inherited = os.environ.get("LD_LIBRARY_PATH")
            environment["LD_LIBRARY_PATH"] = os.pathsep.join(
                filter(None, (str(chosen.parent), inherited))
            )
        child = Child(environment | more, self.directory / f"stderr.{next(self._numbers)}")
        self._children.append(child)
        return child

    def start(self, scenario: Scenario) -> Child:
        """Start a process in which NVML is initialised."""
        self.put(scenario)
        child = self.spawn()
        assert child.ask("p.nvmlInit()") is None
        return child

    def logged(self) -> list[list[str]]:
        """The call log without its times: function, GPU, outcome."""
        if not self.log.exists():
            return []
        return [line.split()[1:] for line in self.log.read_text().splitlines()]

    def close(self) -> None:
        for child in self._children:
            child.close()


@pytest.fixture
def node(library: Path, tmp_path: Path) -> Iterator[Node]:
    made = Node(library, tmp_path)
    yield made
    made.close()
