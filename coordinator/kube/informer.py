"""A small informer: list, watch, bookmarks, tombstones on relist, a periodic list-diff.

kopf's own indices are not used for what is not an engine: their start is quadratic (5,000 Nodes:
226 s) and after a relist they never report what was deleted meanwhile (both measured, see
docs/adr/0003-own-informer.md).
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from coordinator.errors import ApiError, Gone
from coordinator.kube.client import KubeClient
from coordinator.kube.resources import Manifest, ObjectKey, Resource, is_older, key_of

logger = logging.getLogger(__name__)

T = TypeVar("T")

# The server sends a bookmark at least once a minute; more than two missing ones are a dead stream.
SILENCE_SECONDS = 150.0
WATCH_SECONDS = 300
# A watch can lose events without anybody noticing; a list once in a while bounds the damage.
RESYNC_SECONDS = 600.0
FIRST_BACKOFF_SECONDS = 0.2
LAST_BACKOFF_SECONDS = 10.0
STEADY_SECONDS = 5.0


class Informer(Generic[T]):
    """Keeps a projection of all objects of one kind, and tells about each change.

    `project` turns an object into what is kept of it. `on_change(key, old, new)` runs in the event
    loop after each difference; `new` is None for a deletion. `index` groups what is kept, for
    example by engine; None leaves an object out of the index. `keep` drops on arrival what no
    selector of the server can leave out; its answer for an object must never change.
    """

    def __init__(
        self,
        client: KubeClient,
        resource: Resource,
        *,
        project: Callable[[Manifest], T],
        on_change: Callable[[ObjectKey, T | None, T | None], None],
        index: Callable[[T], ObjectKey | None] = lambda _item: None,
        keep: Callable[[Manifest], bool] = lambda _manifest: True,
        label_selector: str = "",
        field_selector: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.resource = resource
        self._client = client
        self._project = project
        self._on_change = on_change
        self._index = index
        self._keep = keep
        self._selectors = {"labelSelector": label_selector, "fieldSelector": field_selector}
        self._clock = clock
        self._items: dict[ObjectKey, T] = {}
        self._versions: dict[ObjectKey, str] = {}
        self._groups: dict[ObjectKey, dict[ObjectKey, T]] = {}
        self._synced = asyncio.Event()
        self._resync_at = 0.0
        # The place in the stream: moves with each event and bookmark, so that a stream that breaks
        # goes on where it was.
        self._version = ""
        self.last_heard = clock()

    @property
    def has_synced(self) -> bool:
        """Tell whether the first list is complete."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        """Wait for the first list."""
        await self._synced.wait()

    def get(self, key: ObjectKey) -> T | None:
        """Return what is kept of one object."""
        return self._items.get(key)

    def values(self) -> Iterable[T]:
        """Return everything that is kept."""
        return self._items.values()

    def __len__(self) -> int:
        return len(self._items)

    def group(self, key: ObjectKey) -> dict[ObjectKey, T]:
        """Return the objects that `index` put under this key. Not to be changed."""
        return self._groups.get(key, {})

    def note(self, manifest: Manifest) -> None:
        """Take in an object that the server has just answered with, ahead of its watch event.

        Without it the next pass would compare with what was true before our own write. An answer
        that the watch has overtaken says nothing: the object may be gone by now.
        """
        key, version = key_of(manifest), manifest["metadata"]["resourceVersion"]
        if key in self._items or not is_older(version, self._version or None):
            self._put(manifest)

    async def run(self) -> None:
        """Keep up with the server until cancelled; errors are waited out with back-off."""
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            started, place = self._clock(), self._version
            try:
                if not self._version or self._clock() >= self._resync_at:
                    self._version = await self._relist()
                    started, place = self._clock(), self._version
                await self._follow(self._version)
            except Gone:
                self._version = ""
            except ApiError as error:
                logger.warning(
                    "watch failed", extra={"resource": self.resource.plural, "error": error.message}
                )
            if self._clock() - started >= STEADY_SECONDS:
                backoff = FIRST_BACKOFF_SECONDS
                continue
            await asyncio.sleep(backoff * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            # A stream that brought something is not part of a row of failures.
            is_news = self._version and self._version != place
            backoff = FIRST_BACKOFF_SECONDS if is_news else min(backoff * 2, LAST_BACKOFF_SECONDS)

    async def _relist(self) -> str:
        version = ""
        seen: set[ObjectKey] = set()
        async for page in self._client.list_chunks(
            self.resource,
            label_selector=self._selectors["labelSelector"],
            field_selector=self._selectors["fieldSelector"],
        ):
            version = page["metadata"]["resourceVersion"]
            for manifest in _items_of(page, self.resource):
                seen.add(key_of(manifest))
                self._put(manifest)
        for key in [key for key in self._items if key not in seen]:
            self._drop(key)
        self.last_heard = self._clock()
        self._resync_at = self.last_heard + RESYNC_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311
        self._synced.set()
        return version

    async def _follow(self, version: str) -> None:
        params = {name: value for name, value in self._selectors.items() if value}
        params["resourceVersion"] = version
        params["timeoutSeconds"] = str(WATCH_SECONDS)
        stream = self._client.watch(self.resource, params=params, silence_seconds=SILENCE_SECONDS)
        async for event in stream:
            self.last_heard = self._clock()
            manifest: dict[str, Any] = event["object"]
            match event["type"]:
                case "ERROR":
                    raise _watch_error(manifest)
                case "DELETED":
                    self._drop(key_of(manifest), version=manifest["metadata"]["resourceVersion"])
                case "ADDED" | "MODIFIED":
                    self._put(manifest)
            self._version = manifest["metadata"]["resourceVersion"]

    def _put(self, manifest: Manifest) -> None:
        if not self._keep(manifest):
            return
        key = key_of(manifest)
        version = manifest["metadata"]["resourceVersion"]
        if is_older(version, self._versions.get(key)):
            return
        old = self._items.get(key)
        new = self._project(manifest)
        self._versions[key] = version
        self._items[key] = new
        self._regroup(key, old, new)
        if old != new:
            self._on_change(key, old, new)

    def _drop(self, key: ObjectKey, *, version: str | None = None) -> None:
        known = self._versions.get(key)
        if version is not None and known is not None and not is_older(known, version):
            # The deletion of a predecessor: what is known was made after it.
            return
        old = self._items.pop(key, None)
        self._versions.pop(key, None)
        if old is not None:
            self._regroup(key, old, None)
            self._on_change(key, old, None)

    def _regroup(self, key: ObjectKey, old: T | None, new: T | None) -> None:
        before = self._index(old) if old is not None else None
        after = self._index(new) if new is not None else None
        if before is not None and before != after:
            members = self._groups[before]
            members.pop(key, None)
            if not members:
                del self._groups[before]
        if after is not None and new is not None:
            self._groups.setdefault(after, {})[key] = new


def _items_of(page: Manifest, resource: Resource) -> Iterator[Manifest]:
    # Items of a list carry neither kind nor apiVersion, and an empty list may be null.
    for manifest in page.get("items") or ():
        manifest["apiVersion"] = resource.api_version
        manifest["kind"] = resource.kind
        yield manifest


def _watch_error(status: Manifest) -> ApiError:
    message = status.get("message", "the watch ended with an error")
    code = status.get("code", 0)
    return Gone(message, status=code) if code == 410 else ApiError(message, status=code)
