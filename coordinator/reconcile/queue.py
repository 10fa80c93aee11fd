"""A keyed, coalescing work queue with back-off per key.

A key that is added while it waits is done once; one that is added while it is being worked on is
done once more afterwards, and never by two workers at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_RETRY_SECONDS = 0.05
LAST_RETRY_SECONDS = 60.0


class WorkQueue(Generic[K]):
    """Hands out keys in the order of their first addition.

    `clock` counts seconds; `jitter` returns a factor for a retry's delay and exists to be replaced
    in tests.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] | None = None,
        jitter: Callable[[], float] = lambda: random.uniform(0.5, 1.0),  # noqa: S311
    ) -> None:
        self._clock = clock or asyncio.get_running_loop().time
        self._jitter = jitter
        self._ready: deque[K] = deque()
        self._waiting: set[K] = set()
        self._working: set[K] = set()
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._since: dict[K, float] = {}
        self._delayed: list[tuple[float, int, K]] = []
        self._due: dict[K, float] = {}
        self._order = itertools.count()
        self._wakeup = asyncio.Event()

    def __len__(self) -> int:
        return len(self._ready) + len(self._again)

    @property
    def oldest_seconds(self) -> float:
        """Return how long the key that waits longest has been waiting."""
        return max((self._clock() - since for since in self._since.values()), default=0.0)

    def add(self, key: K) -> None:
        """Ask for this key to be worked on as soon as possible."""
        self._due.pop(key, None)
        if key in self._working:
            self._again.add(key)
            self._since.setdefault(key, self._clock())
        elif key not in self._waiting:
            self._waiting.add(key)
            self._since.setdefault(key, self._clock())
            self._ready.append(key)
            self._wakeup.set()

    def add_after(self, key: K, delay: float) -> None:
        """Ask for this key after `delay` seconds, unless it is worked on earlier anyway."""
        due = self._clock() + delay
        if key in self._waiting or self._due.get(key, float("inf")) <= due:
            return
        self._due[key] = due
        heapq.heappush(self._delayed, (due, next(self._order), key))
        self._wakeup.set()

    def retry(self, key: K, *, at_least: float = 0.0) -> float:
        """Ask for this key after its back-off; returns the delay in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(FIRST_RETRY_SECONDS * 2.0 ** min(failures, 16), LAST_RETRY_SECONDS)
        delay = max(delay * self._jitter(), at_least)
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """Reset this key's back-off."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """Wait for a key; `done` must follow."""
        while True:
            self._release_delayed()
            if self._ready:
                key = self._ready.popleft()
                self._waiting.discard(key)
                self._since.pop(key, None)
                self._due.pop(key, None)
                self._working.add(key)
                return key
            self._wakeup.clear()
            timeout = self._delayed[0][0] - self._clock() if self._delayed else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._wakeup.wait()

    def done(self, key: K) -> None:
        """Say that the work on a key that `get` handed out has ended."""
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def _release_delayed(self) -> None:
        now = self._clock()
        while self._delayed and self._delayed[0][0] <= now:
            due, _, key = heapq.heappop(self._delayed)
            if self._due.get(key) == due:
                self.add(key)
