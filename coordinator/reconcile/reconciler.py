"""One pass over one engine: gather, render, apply, prune, report.

Level-based: it may run at any time, any number of times, and a second run changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from coordinator.api.engine import Engine
from coordinator.api.spec import EngineSpec
from coordinator.api.validation import SpecInvalid, parse, problems, warnings
from coordinator.errors import ApiUnavailable, CoordinatorError, NamespaceTerminating, NotFound
from coordinator.health.assignment import EngineOnNode, engine_on_node
from coordinator.kube.client import KubeClient
from coordinator.kube.quantities import parse_quantity
from coordinator.kube.resources import ENGINES, Manifest, ObjectKey
from coordinator.metrics import Metrics
from coordinator.reconcile.apply import Applied, Applier, digest
from coordinator.reconcile.credentials import CredentialKeeper, CredentialState
from coordinator.reconcile.engines import EngineCache
from coordinator.reconcile.events import EventRecorder
from coordinator.reconcile.gateways import with_gateway
from coordinator.reconcile.gather import Gatherer
from coordinator.reconcile.queue import WorkQueue
from coordinator.reconcile.room import RoomCounter
from coordinator.reconcile.transitions import transitions
from coordinator.reconcile.view import ClusterView
from coordinator.render import render
from coordinator.render.args import arguments
from coordinator.render.facts import Facts
from coordinator.render.gateway import gateway_port
from coordinator.render.servicemonitor import MONITOR_MISSING, is_monitor_missing
from coordinator.status.build import build, patch
from coordinator.status.observed import Fleet, Observed, rollout_from
from coordinator.status.reasons import FOREIGN_FIELDS_REMOVED

logger = logging.getLogger(__name__)

# At most one status write per engine and second, after an immediate first one.
STATUS_WRITE_SECONDS = 1.0
OBSTACLE_SECONDS = 30.0

FleetOf = Callable[[ObjectKey, str], Fleet]


@dataclass(frozen=True, slots=True)
class _Rendered:
    """A render and what it was made of: valid while generation and facts stay."""

    engine: Engine
    facts: Facts
    manifests: tuple[Manifest, ...]
    digest: str


class Reconciler:
    """Makes engines true, one key at a time."""

    def __init__(
        self,
        *,
        client: KubeClient,
        engines: EngineCache,
        view: ClusterView,
        queue: WorkQueue[ObjectKey],
        recorder: EventRecorder,
        metrics: Metrics,
        facts: Callable[[], Facts],
        fleet_of: FleetOf,
        on_render: Callable[[ObjectKey], None] = lambda _key: None,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._engines = engines
        self._view = view
        self._queue = queue
        self._recorder = recorder
        self._metrics = metrics
        self._facts = facts
        self._fleet_of = fleet_of
        self._on_render = on_render
        self._clock = clock
        self._now = now
        self._applier = Applier(client, view)
        self._gatherer = Gatherer(view, RoomCounter(client, clock=clock))
        self._credentials = CredentialKeeper(client, queue, clock=clock)
        self._renders: dict[ObjectKey, _Rendered] = {}
        self._written_at: dict[ObjectKey, float] = {}

    async def work(self) -> None:
        """Take keys from the queue until cancelled. No engine's failure stops another's work."""
        while True:
            key = await self._queue.get()
            started = self._clock()
            result = "error"
            try:
                await self.reconcile(key)
            except NamespaceTerminating as error:
                # What is there goes with the namespace; its deletion is the next event.
                result = "namespace_terminating"
                logger.info("namespace terminating", extra=_extra(key, error=error.message))
            except ApiUnavailable as error:
                delay = self._queue.retry(key, at_least=error.retry_after or 0.0)
                logger.warning(
                    "will retry", extra=_extra(key, error=error.message, delay=round(delay, 2))
                )
            except CoordinatorError as error:
                delay = self._queue.retry(key)
                logger.warning(
                    "will retry", extra=_extra(key, error=str(error), delay=round(delay, 2))
                )
            except Exception:
                self._queue.retry(key)
                logger.exception("unexpected error", extra=_extra(key))
            else:
                result = "ok"
                self._queue.forget(key)
            finally:
                self._queue.done(key)
                self._metrics.reconciled(result, self._clock() - started)

    async def reconcile(self, key: ObjectKey) -> None:
        """Make one engine true.

        Raises the ApiErrors that waiting may mend; everything else ends in the engine's status.
        """
        raw = self._engines.get(key)
        if raw is None or raw["metadata"].get("deletionTimestamp"):
            # The children have an owner reference: the garbage collector takes them along.
            self._forget(key, is_gone=raw is None)
            return
        observed = await self._make_true(key, raw)
        await self._report(key, raw, observed)

    async def _make_true(self, key: ObjectKey, raw: Manifest) -> Observed:
        metadata = raw["metadata"]
        generation: int = metadata["generation"]
        spec: Mapping[str, Any] = raw.get("spec") or {}
        found = problems(key.name, key.namespace, spec)
        try:
            parsed = None if found else parse(spec)
        except SpecInvalid as error:
            found, parsed = error.problems, None
        if parsed is not None and (refused := arguments(parsed).unsupported):
            # The server of this image would exit at once: better the old pods than none.
            found, parsed = refused, None
        applied = Applied()
        credential = CredentialState()
        if parsed is not None:
            engine = Engine(key.namespace, key.name, metadata["uid"], generation, parsed)
            credential = await self._credentials.keep(engine)
            if not credential.is_held:
                applied = await self._apply(key, raw, engine, credential.revision)
            applied.conflicts += filter(None, (credential.conflict,))
            applied.refused += filter(None, (credential.refused,))
            if applied.conflicts or applied.refused:
                # What stands in the way is not watched: its going is no event.
                self._queue.add_after(key, OBSTACLE_SECONDS)
        known = self._renders.get(key)
        running = parsed or (known.engine.spec if known else None)
        daemon_set = self._view.child("DaemonSet", key)
        pods = self._view.pods_of(key)
        observed = Observed(
            generation=generation,
            problems=tuple(str(problem) for problem in found),
            warnings=self._warnings(key, spec, parsed),
            conflicts=tuple(applied.conflicts),
            refused=" ".join(applied.refused),
            credential=credential.trouble,
            rollout=rollout_from(daemon_set) if daemon_set is not None else None,
            pods=pods,
            port=running.server.port if running else None,
            metrics_port=(
                running.prometheus.port if running and running.prometheus.enabled else None
            ),
            fleet=self._fleet_of(key, metadata["uid"]),
        )
        return await self._gatherer.explained(observed, key, parsed, now=self._now())

    def _warnings(
        self, key: ObjectKey, spec: Mapping[str, Any], parsed: EngineSpec | None
    ) -> tuple[str, ...]:
        if parsed is None:
            return ()
        found = [str(problem) for problem in warnings(key.name, key.namespace, spec)]
        found += [str(note) for note in arguments(parsed).notes]
        if is_monitor_missing(parsed, self._facts()):
            found.append(MONITOR_MISSING)
        return tuple(found)

    async def _apply(
        self, key: ObjectKey, raw: Manifest, engine: Engine, resp_auth_revision: str
    ) -> Applied:
        facts = with_gateway(
            replace(self._facts(), resp_auth_revision=resp_auth_revision),
            engine,
            self._view.child("DaemonSet", key),
        )
        rendered = self._render(key, engine, facts)
        applied = await self._applier.apply(
            engine, rendered.manifests, render_digest=rendered.digest
        )
        await self._tell_changes(key, raw, applied)
        daemon_set = self._view.child("DaemonSet", key)
        rollout = rollout_from(daemon_set) if daemon_set is not None else None
        await self._credentials.retire(
            engine,
            is_rolled_out=rollout is None
            or (rollout.is_current and rollout.updated >= rollout.desired),
        )
        return applied

    def _render(self, key: ObjectKey, engine: Engine, facts: Facts) -> _Rendered:
        known = self._renders.get(key)
        if (
            known is None
            or (known.engine.uid, known.engine.generation) != (engine.uid, engine.generation)
            or known.facts != facts
        ):
            manifests = render(engine, facts)
            known = _Rendered(engine, facts, manifests, digest(manifests))
            self._renders[key] = known
            self._on_render(key)
        return known

    async def _tell_changes(self, key: ObjectKey, raw: Manifest, applied: Applied) -> None:
        if applied.written or applied.deleted:
            logger.info(
                "children changed",
                extra=_extra(
                    key,
                    generation=raw["metadata"]["generation"],
                    written=applied.written,
                    deleted=applied.deleted,
                ),
            )
        for reclaimed in applied.reclaimed:
            logger.warning("foreign fields removed", extra=_extra(key, fields=reclaimed))
            await self._recorder.record(
                raw,
                "Warning",
                reason=FOREIGN_FIELDS_REMOVED.name,
                message=f"{reclaimed} was added by somebody else and has been removed: set it in"
                " the engine's spec instead.",
            )

    async def _report(self, key: ObjectKey, raw: Manifest, observed: Observed) -> None:
        # Applying took time; the newest object is what the patch must be counted from.
        raw = self._engines.get(key) or raw
        current: Mapping[str, Any] = raw.get("status") or {}
        wanted = build(observed, current, now=self._now())
        self._metrics.show(key, wanted)
        changes = patch(current, wanted)
        if not changes:
            return
        wait = self._written_at.get(key, float("-inf")) + STATUS_WRITE_SECONDS - self._clock()
        if wait > 0:
            self._queue.add_after(key, wait)
            return
        self._written_at[key] = self._clock()
        try:
            answer = await self._client.merge_patch(
                ENGINES,
                {"status": changes},
                namespace=key.namespace,
                name=key.name,
                subresource="status",
            )
        except NotFound:
            return
        self._metrics.status_writes.inc()
        self._engines.note(answer)
        logger.info(
            "status written",
            extra=_extra(key, phase=wanted["phase"], changed=sorted(changes)),
        )
        for event in transitions(current, wanted):
            await self._recorder.record(raw, event.type, reason=event.reason, message=event.message)

    def on_node(self, key: ObjectKey, node: str, *, cluster_domain: str) -> EngineOnNode | None:
        """Return an engine as its agent on this node must know it: as it was last rendered.

        None before the first valid spec.
        """
        rendered = self._renders.get(key)
        if rendered is None:
            return None
        resources = _server_resources(rendered.manifests)
        return engine_on_node(
            rendered.engine,
            [pod for pod in self._view.pods_of(key) if pod.node == node],
            cluster_domain=cluster_domain,
            memory_request_bytes=_bytes(resources, "requests"),
            memory_limit_bytes=_bytes(resources, "limits"),
            gateway_port=gateway_port(rendered.engine.spec, rendered.facts),
        )

    def _forget(self, key: ObjectKey, *, is_gone: bool) -> None:
        known = self._renders.pop(key, None)
        self._written_at.pop(key, None)
        self._applier.forget(key)
        self._credentials.forget(key)
        self._queue.forget(key)
        if is_gone:
            self._metrics.hide(key)
            if known is not None:
                logger.info("engine gone", extra=_extra(key))


async def run_workers(reconciler: Reconciler, count: int) -> None:
    """Run workers until cancelled."""
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(reconciler.work(), name=f"worker-{number}")


def _server_resources(manifests: tuple[Manifest, ...]) -> Mapping[str, Any]:
    for manifest in manifests:
        if manifest["kind"] == "DaemonSet":
            container = manifest["spec"]["template"]["spec"]["containers"][0]
            found: Mapping[str, Any] = container.get("resources") or {}
            return found
    return {}


def _bytes(resources: Mapping[str, Any], which: str) -> int:
    return int(parse_quantity((resources.get(which) or {}).get("memory", "0")))


def _extra(key: ObjectKey, **fields: object) -> dict[str, object]:
    return {"engine": str(key), **fields}
