"""The managed copy of the Redis credential: kept equal to its source, rolled out, pruned.

Secrets are never listed or watched, because RBAC cannot filter by label: a watch would need the
right to read every Secret of the cluster at once, and would hold them all in memory. Source and
copy are read by name, at once when the engine changes and every 30 s otherwise. Nothing of what is
read is kept between two looks.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from coordinator.api.engine import Engine
from coordinator.errors import ApiConflict, Forbidden, Invalid, NamespaceTerminating, NotFound
from coordinator.kube.client import KubeClient
from coordinator.kube.resources import SECRETS, Manifest, ObjectKey
from coordinator.reconcile import secret_data
from coordinator.reconcile.queue import WorkQueue
from coordinator.reconcile.secret_data import Credential
from coordinator.reconcile.view import controller_uid
from coordinator.render.names import credential_name
from coordinator.status.observed import Trouble

logger = logging.getLogger(__name__)

LOOK_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class CredentialState:
    """What the last look found.

    `revision` changes with the credential and goes into the pod template. `is_held`: there is no
    copy that serves this spec, so the other children must stay as they are.
    """

    revision: str = ""
    trouble: Trouble | None = None
    conflict: str = ""
    refused: str = ""
    is_held: bool = False


@dataclass(frozen=True, slots=True)
class _Look:
    uid: str
    generation: int
    due: float
    state: CredentialState


@dataclass(frozen=True, slots=True)
class _Retired:
    """An engine without a credential; `copy` names the one that it left behind, if any."""

    uid: str
    generation: int
    copy: Manifest | None


class CredentialKeeper:
    """Keeps the copies of all engines.

    `new_revision` makes the mark by which pods roll: random, kept as an annotation of the copy, and
    renewed with each write of another credential. Not a hash, which could be guessed at, not even
    keyed with the engine's UID, which everyone who reads the engine knows; and not the copy's
    resourceVersion, because then a label that somebody puts on the Secret would restart a fleet of
    caches.
    """

    def __init__(
        self,
        client: KubeClient,
        queue: WorkQueue[ObjectKey],
        *,
        clock: Callable[[], float],
        new_revision: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._client = client
        self._queue = queue
        self._clock = clock
        self._new_revision = new_revision
        self._looks: dict[ObjectKey, _Look] = {}
        self._retired: dict[ObjectKey, _Retired] = {}

    async def keep(self, engine: Engine) -> CredentialState:
        """Make the copy equal to its source and return what there is to know about it.

        Raises the ApiErrors that waiting may mend.
        """
        key = ObjectKey(engine.namespace, engine.name)
        source = secret_data.source_of(engine)
        if source is None:
            self._looks.pop(key, None)
            return CredentialState()
        self._retired.pop(key, None)
        look = self._looks.get(key)
        if (
            look is None
            or (look.uid, look.generation) != (engine.uid, engine.generation)
            or look.due <= self._clock()
        ):
            state = await self._make_equal(engine, source)
            if look is not None and look.state.revision not in ("", state.revision):
                logger.info("credential changed, pods will roll", extra={"engine": str(key)})
            look = _Look(engine.uid, engine.generation, self._clock() + LOOK_SECONDS, state)
            self._looks[key] = look
        self._queue.add_after(key, look.due - self._clock())
        return look.state

    async def retire(self, engine: Engine, *, is_rolled_out: bool) -> None:
        """Delete the copy of an engine that no longer refers to a credential.

        Only after the new spec has reached every pod: a container of the old one that restarts
        meanwhile could not start without its Secret.
        """
        if secret_data.source_of(engine) is not None:
            return
        key = ObjectKey(engine.namespace, engine.name)
        retired = self._retired.get(key)
        if retired is None or (retired.uid, retired.generation) != (engine.uid, engine.generation):
            try:
                copy = await self._read_copy(engine)
            except Forbidden:
                # An installation without rights on Secrets, which never made a copy.
                copy = None
            is_ours = copy is not None and controller_uid(copy) == engine.uid
            retired = _Retired(
                engine.uid, engine.generation, _identity(copy) if copy and is_ours else None
            )
            self._retired[key] = retired
        if retired.copy is None or not is_rolled_out:
            return
        try:
            await self._client.delete(retired.copy)
        except ApiConflict:
            # Somebody replaced it in the meantime: then it is no longer ours to delete.
            pass
        else:
            logger.info("credential copy deleted", extra={"engine": str(key)})
        self._retired[key] = _Retired(engine.uid, engine.generation, None)

    def forget(self, engine: ObjectKey) -> None:
        """Drop what is remembered of an engine that is gone; its copy has an owner reference."""
        self._looks.pop(engine, None)
        self._retired.pop(engine, None)

    async def _make_equal(self, engine: Engine, source: ObjectKey) -> CredentialState:
        credential = await self._read_source(source)
        try:
            copy = await self._read_copy(engine)
        except Forbidden:
            return CredentialState(
                trouble=secret_data.forbidden(secret_data.copy_of(engine)), is_held=True
            )
        if copy is not None and controller_uid(copy) != engine.uid:
            return CredentialState(
                conflict=f"Secret {credential_name(engine.name)} exists in namespace"
                f" {engine.namespace} and does not belong to this engine: delete it or rename the"
                " engine.",
                is_held=True,
            )
        if isinstance(credential, Trouble):
            # The copy goes on serving while its source is away, but not for another source: the
            # spec that names that one waits, and what ran before keeps running.
            serves = copy is not None and secret_data.is_copy_of(copy, source)
            return CredentialState(
                revision=secret_data.revision_of(copy) if copy is not None and serves else "",
                trouble=credential,
                is_held=not serves,
            )
        try:
            return await self._write(engine, credential, source, copy)
        except NamespaceTerminating:
            raise
        except (Invalid, Forbidden) as error:
            # Never the server's own sentence: for a refused object it may quote what was sent.
            return CredentialState(
                refused=f"The API server refuses Secret {credential_name(engine.name)}"
                f" ({error.reason or error.status}): check the operator's ClusterRole and admission"
                " policies; if the Secret is immutable, delete it.",
                is_held=True,
            )

    async def _write(
        self, engine: Engine, credential: Credential, source: ObjectKey, copy: Manifest | None
    ) -> CredentialState:
        revision = ""
        if copy is not None and secret_data.holds(copy, credential):
            revision = secret_data.revision_of(copy)
        revision = revision or self._new_revision()
        wanted = secret_data.wanted_copy(engine, credential, source, revision=revision)
        if copy is None or not secret_data.is_right(copy, wanted, credential):
            written = await self._client.apply(wanted)
            surplus = secret_data.surplus_keys(written, credential)
            if surplus:
                await self._client.merge_patch(
                    SECRETS,
                    {"data": dict.fromkeys(surplus)},
                    namespace=engine.namespace,
                    name=credential_name(engine.name),
                )
            logger.info(
                "credential copy written",
                extra={"engine": f"{engine.namespace}/{engine.name}", "source": str(source)},
            )
        return CredentialState(revision=revision)

    async def _read_source(self, source: ObjectKey) -> Credential | Trouble:
        try:
            secret = await self._client.get(SECRETS, namespace=source.namespace, name=source.name)
        except NotFound:
            return secret_data.missing(source)
        except Forbidden:
            return secret_data.forbidden(source)
        return secret_data.credential_in(secret) or secret_data.incomplete(source)

    async def _read_copy(self, engine: Engine) -> Manifest | None:
        try:
            return await self._client.get(
                SECRETS, namespace=engine.namespace, name=credential_name(engine.name)
            )
        except NotFound:
            return None


def _identity(manifest: Manifest) -> Manifest:
    """Return what deleting an object needs of it, and nothing of what it holds."""
    metadata: dict[str, Any] = manifest["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {name: metadata[name] for name in ("namespace", "name", "uid")},
    }
