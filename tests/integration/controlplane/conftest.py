"""A control plane for the tests of this folder, started once."""

from collections.abc import Iterator

import pytest

from hack.controlplane import (
    ControlPlane,
    ControlPlaneOptions,
    FakeNodes,
    missing_programs,
)


@pytest.fixture(scope="session", autouse=True)
def programs_are_there() -> None:
    """Skip rather than build: that can take ten minutes, which no test's time limit allows."""
    if missing := missing_programs():
        pytest.skip(f"{', '.join(missing)} missing: run `python -m hack.controlplane build`")


@pytest.fixture(scope="session")
def cluster(programs_are_there: None) -> Iterator[ControlPlane]:
    """Run a control plane with four fake GPU nodes and an audit log."""
    options = ControlPlaneOptions(kwok=True, audit=True)
    with ControlPlane.start(options, report=print) as running:
        running.add_nodes(FakeNodes(count=4))
        yield running
