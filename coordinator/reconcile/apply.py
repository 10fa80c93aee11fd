"""Make the children of one engine equal to their render, with no request for what is right already.

The order for each child: is it known and right (nothing), is it somebody else's (a conflict, left
alone), is it different (one forced server-side apply), has somebody added to what is ours alone
(one replace). Afterwards: children that are no longer rendered go.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from coordinator.api.engine import Engine
from coordinator.errors import ApiConflict, Forbidden, Invalid, NamespaceTerminating, NotFound
from coordinator.kube.client import KubeClient
from coordinator.kube.resources import Manifest, ObjectKey, key_of, resource_of
from coordinator.reconcile import drift
from coordinator.reconcile.view import ClusterView, controller_uid

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Applied:
    """What one pass did. `conflicts` and `refused` are sentences for the status."""

    conflicts: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    reclaimed: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Settled:
    """A live object after which there was nothing left to do for a render."""

    version: str
    fingerprint: str
    render_digest: str


class Applier:
    """Applies renders. Remembers which live objects it has already found right.

    That memory is what makes an unchanged engine cost nothing, and where an admission webhook that
    puts something back each time ends: in one try for each change, not in a loop.
    """

    def __init__(self, client: KubeClient, view: ClusterView) -> None:
        self._client = client
        self._view = view
        self._settled: dict[ObjectKey, dict[tuple[str, ObjectKey], _Settled]] = {}

    async def apply(
        self, engine: Engine, manifests: Sequence[Manifest], *, render_digest: str
    ) -> Applied:
        """Make the children as rendered.

        Raises ApiUnavailable and the like; a refusal of one child does not keep the others back.
        """
        applied = Applied()
        for manifest in manifests:
            try:
                await self._one(engine, manifest, render_digest, applied)
            except NamespaceTerminating:
                raise
            except (Invalid, Forbidden) as error:
                applied.refused.append(f"{_title(manifest)}: {error.message}")
        if not applied.conflicts and not applied.refused:
            await self._prune(engine, manifests, applied)
        return applied

    def forget(self, engine: ObjectKey) -> None:
        """Drop what is remembered about the children of an engine that is gone."""
        self._settled.pop(engine, None)

    async def _one(
        self, engine: Engine, manifest: Manifest, render_digest: str, applied: Applied
    ) -> None:
        settled = self._settled.setdefault(ObjectKey(engine.namespace, engine.name), {})
        slot = (manifest["kind"], key_of(manifest))
        live = self._view.child(*slot)
        if live is not None and _is_settled(settled.get(slot), live, render_digest):
            return
        if live is None:
            live = await self._find(manifest)
        if live is not None:
            owner = controller_uid(live)
            if owner != engine.uid:
                applied.conflicts.append(_conflict(manifest, live, engine))
                return
        if live is None or not _is_right(live, manifest):
            live = await self._client.apply(manifest)
            self._view.children[manifest["kind"]].note(live)
            applied.written.append(_title(manifest))
        foreign = drift.foreign_fields(live, manifest)
        if foreign:
            live = await self._client.replace(drift.reclaimed(live, manifest))
            self._view.children[manifest["kind"]].note(live)
            applied.written.append(_title(manifest))
            applied.reclaimed.append(f"{_title(manifest)}: {', '.join(foreign)}")
        settled[slot] = _Settled(
            live["metadata"]["resourceVersion"], fingerprint(live), render_digest
        )

    async def _find(self, manifest: Manifest) -> Manifest | None:
        """Read an object that the informers do not show: not there, or not labelled as ours."""
        metadata = manifest["metadata"]
        try:
            live = await self._client.get(
                resource_of(manifest), namespace=metadata["namespace"], name=metadata["name"]
            )
        except NotFound:
            return None
        return live

    async def _prune(self, engine: Engine, manifests: Sequence[Manifest], applied: Applied) -> None:
        wanted = {(manifest["kind"], key_of(manifest)) for manifest in manifests}
        for child in self._view.children_of(ObjectKey(engine.namespace, engine.name), engine.uid):
            if (child["kind"], key_of(child)) in wanted:
                continue
            if child["metadata"].get("deletionTimestamp"):
                continue
            try:
                await self._client.delete(child)
            except ApiConflict:
                # Somebody replaced it in the meantime: then it is no longer ours to delete.
                continue
            applied.deleted.append(_title(child))


def _is_settled(settled: _Settled | None, live: Manifest, render_digest: str) -> bool:
    if settled is None or settled.render_digest != render_digest:
        return False
    version = live["metadata"]["resourceVersion"]
    if settled.version == version:
        return True
    # A DaemonSet gets a new version with each pod that turns ready: look at what could be drift.
    if settled.fingerprint != fingerprint(live):
        return False
    settled.version = version
    return True


def fingerprint(live: Manifest) -> str:
    """Return a digest of all that could be drift: not the status, nor who wrote what and when."""
    metadata = live["metadata"]
    content: dict[str, Any] = {
        key: value
        for key, value in live.items()
        if key not in ("status", "metadata", "apiVersion", "kind")
    }
    content["metadata"] = {
        key: metadata.get(key) for key in ("uid", "labels", "annotations", "ownerReferences")
    }
    return digest(content)


def digest(value: Any) -> str:
    """Return a short digest of a JSON value."""
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).hexdigest()


def _is_right(live: Manifest, manifest: Manifest) -> bool:
    return drift.is_covered(live, manifest) and not drift.has_stale_fields(live, manifest)


def _title(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def _conflict(manifest: Manifest, live: Manifest, engine: Engine) -> str:
    references = live["metadata"].get("ownerReferences") or ()
    owner = next((ref for ref in references if ref.get("controller")), None)
    whose = f"belongs to {owner['kind']} {owner['name']}" if owner else "belongs to nobody"
    if owner and owner.get("kind") == "LMCacheEngine" and owner.get("name") == engine.name:
        whose = "belongs to an earlier engine of this name and is about to be deleted"
    return (
        f"{_title(manifest)} exists in namespace {engine.namespace} and {whose}: delete it or"
        " rename the engine."
    )
