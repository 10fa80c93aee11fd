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
        if self.note(engine):
            self._on_change(key_of(engine))

    def note(self, engine: Manifest) -> bool:
        """Take in the answer to a write of our own: nothing that anybody has to be told.

        Returns whether it is newer than what was known.
        """
        key = key_of(engine)
        known = self._engines.get(key)
        version = engine["metadata"]["resourceVersion"]
        if known is not None and is_older(version, known["metadata"]["resourceVersion"]):
            return False
        # Who owns which field of the engine is nothing to us, and most of the object's size.
        engine["metadata"].pop("managedFields", None)
        self._engines[key] = engine
        return True

    def drop(self, key: ObjectKey) -> None:
        """Take in a deletion."""
        if self._engines.pop(key, None) is not None:
            self._on_change(key)

    def replace_all(self, engines: Iterable[Manifest]) -> None:
        """Take in a complete list: what is not in it is gone."""
        seen = set()
        for engine in engines:
            seen.add(key_of(engine))
            self.put(engine)
        for key in [key for key in self._engines if key not in seen]:
            self.drop(key)
