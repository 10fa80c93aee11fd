"""The engines as the API server last showed them, fed by kopf's events and our own lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from coordinator.kube.resources import Manifest, ObjectKey, is_older, key_of


class EngineCache:
    """Keeps each engine's newest object and tells which keys have changed.

    kopf never reports what was deleted while its watch was broken; `replace_all` with a fresh list
    finds it out.
    """

    def __init__(self, *, on_change: Callable[[ObjectKey], None]) -> None:
        self._on_change = on_change
        self._engines: dict[ObjectKey, Manifest] = {}
        # Deletions that a list may not have seen yet: key -> version.
        self._gone: dict[ObjectKey, str] = {}

    def __len__(self) -> int:
        return len(self._engines)

    def all(self) -> Iterable[ObjectKey]:
        """Return the keys of all engines."""
        return list(self._engines)

    def get(self, key: ObjectKey) -> Manifest | None:
        """Return an engine's newest object. Not to be changed."""
        return self._engines.get(key)

    def put(self, engine: Manifest) -> None:
        """Take in what a watch or a list shows."""
        key = key_of(engine)
        version = engine["metadata"]["resourceVersion"]
        known = self._engines.get(key)
        newest = known["metadata"]["resourceVersion"] if known else self._gone.get(key)
        if is_older(version, newest):
            return
        self._store(key, engine)
        self._on_change(key)

    def note(self, engine: Manifest) -> None:
        """Take in the answer to a write of our own: nothing that anybody has to be told.

        An engine that is not known has been deleted meanwhile: its answer comes too late.
        """
        key = key_of(engine)
        known = self._engines.get(key)
        if known is not None and not is_older(
            engine["metadata"]["resourceVersion"], known["metadata"]["resourceVersion"]
        ):
            self._store(key, engine)

    def drop(self, key: ObjectKey, *, version: str | None = None) -> None:
        """Take in a deletion, with the version at which it happened if it is known."""
        known = self._engines.get(key)
        if known is None:
            return
        last: str = known["metadata"]["resourceVersion"]
        if version is not None and not is_older(last, version):
            # The deletion of a predecessor of the same name.
            return
        self._gone[key] = version or last
        del self._engines[key]
        self._on_change(key)

    def replace_all(self, engines: Iterable[Manifest], *, version: str) -> None:
        """Take in a complete list of that version: what it should hold and does not is gone.

        The watch goes on while a list is under way. What it added since is newer than the list,
        and what it dropped since stays dropped.
        """
        seen = set()
        for engine in engines:
            seen.add(key_of(engine))
            self.put(engine)
        for key, engine in list(self._engines.items()):
            if key not in seen and is_older(engine["metadata"]["resourceVersion"], version):
                self.drop(key)
        self._gone = {key: gone for key, gone in self._gone.items() if not is_older(gone, version)}

    def _store(self, key: ObjectKey, engine: Manifest) -> None:
        # Who owns which field of the engine is nothing to us, and most of the object's size.
        engine["metadata"].pop("managedFields", None)
        self._engines[key] = engine
