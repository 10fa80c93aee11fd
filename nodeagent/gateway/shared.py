"""One upstream call for many who ask: those who come together share it, and those soon after."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """A value that is fetched when somebody asks for it and the last one is too old."""

    def __init__(
        self,
        fetch: Callable[[], Awaitable[T]],
        *,
        keep_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._fetch = fetch
        self._keep_seconds = keep_seconds
        self._clock = clock
        self._task: asyncio.Task[T] | None = None
        self._came_at = 0.0

    async def get(self) -> T:
        """Return the value, at most `keep_seconds` old."""
        task = self._task
        if task is None or (task.done() and self._clock() - self._came_at >= self._keep_seconds):
            task = self._task = asyncio.create_task(self._run())
        # Shielded: one who leaves early does not take the call away from the others.
        return await asyncio.shield(task)

    @property
    def age_seconds(self) -> float:
        """How old the value is."""
        return max(0.0, self._clock() - self._came_at)

    async def _run(self) -> T:
        try:
            return await self._fetch()
        finally:
            self._came_at = self._clock()
