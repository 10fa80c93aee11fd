"""Token buckets by key, bounded in number. Pure but for the clock that comes in."""

from __future__ import annotations

from collections.abc import Callable


class Buckets:
    """Grants each key `rate` calls a second and `burst` at once.

    Beyond `most` keys, the one that was asked for least recently starts afresh.
    """

    def __init__(
        self, *, rate: float, burst: float, clock: Callable[[], float], most: int = 20_000
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._most = most
        # Key -> tokens and when they were counted; in the order of the last look.
        self._buckets: dict[str, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str) -> bool:
        """Take one token of this key; False where none is left."""
        tokens, now = self._count(key)
        if tokens < 1.0:
            self._put(key, tokens, now)
            return False
        self._put(key, tokens - 1.0, now)
        return True

    def has(self, key: str) -> bool:
        """Tell whether this key has a token left, without taking it."""
        return self._count(key)[0] >= 1.0

    def _count(self, key: str) -> tuple[float, float]:
        now = self._clock()
        tokens, counted = self._buckets.get(key, (self._burst, now))
        return min(self._burst, tokens + (now - counted) * self._rate), now

    def _put(self, key: str, tokens: float, now: float) -> None:
        self._buckets.pop(key, None)
        self._buckets[key] = (tokens, now)
        while len(self._buckets) > self._most:
            del self._buckets[next(iter(self._buckets))]
