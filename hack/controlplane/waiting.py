"""Waiting for something to become true, always with a deadline."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from hack.controlplane.errors import TimedOut

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")


def wait_until(
    look: Callable[[], Value | None], *, within: float, what: str, every: float = 0.05
) -> Value:
    """Call `look` until it returns something true, and return that.

    Raises TimedOut, which names `what` was awaited and what was seen last, after `within` seconds.
    """
    deadline = time.monotonic() + within
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() >= deadline:
            raise TimedOut(f"{what}: not within {within:g} s (last seen: {seen!r}).")
        time.sleep(every)
