"""Time that costs nothing, and an API server that says what a test tells it to."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.unit.coordinator.fakeapi import FakeApi


class _Jumping(selectors.DefaultSelector):
    """Waits for sockets as ever; where nothing happens it lets the clock jump instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> Any:
        # What one side of a loopback connection sent is there for the other side at once.
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            return super().select(None)
        self.now += timeout
        return []


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


@pytest.fixture
def in_virtual_time() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Run a coroutine in a loop whose clock jumps to the next timer when nothing else happens."""

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
            return runner.run(work)

    return run


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()
