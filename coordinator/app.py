"""The composition root of the coordinator: build, wire, run, drain. Readable top to bottom."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import socket
from dataclasses import replace
from datetime import UTC, datetime

from coordinator.api.v1alpha1 import API_VERSION, PLURAL
from coordinator.errors import ApiError, ApiUnavailable, Forbidden, NotFound, StartupError
from coordinator.health.assignment import Assignment, AssignmentBook
from coordinator.health.fleet import FleetBook
from coordinator.health.port import AgentsPort
from coordinator.health.store import ReportStore
from coordinator.http import serve as serve_http
from coordinator.kube.client import KubeClient
from coordinator.kube.resources import ENGINES, ObjectKey
from coordinator.kube.session import load_cluster
from coordinator.metrics import Metrics
from coordinator.reconcile.engines import EngineCache
from coordinator.reconcile.events import EventRecorder
from coordinator.reconcile.handlers import watch_engines
from coordinator.reconcile.queue import WorkQueue
from coordinator.reconcile.reconciler import Reconciler, run_workers
from coordinator.reconcile.view import ClusterView
from coordinator.render.facts import Facts
from coordinator.settings import Settings

logger = logging.getLogger(__name__)

ENGINES_RELIST_SECONDS = 600.0
SYNC_SECONDS = 60.0
STOP_SECONDS = 20.0
MAX_WATCH_SILENCE_SECONDS = 400.0


async def run(settings: Settings, *, stop: asyncio.Event) -> None:
    """Run the coordinator until `stop` is set.

    Raises StartupError with one sentence when it cannot run at all.
    """
    metrics = Metrics()
    client = KubeClient(load_cluster(settings.kubeconfig), observe=metrics.requested)
    try:
        await _check_api(client)
        await _Coordinator(settings, client=client, metrics=metrics, stop=stop).run()
    finally:
        await client.close()


class _Coordinator:
    """All parts of one running coordinator."""

    def __init__(
        self, settings: Settings, *, client: KubeClient, metrics: Metrics, stop: asyncio.Event
    ) -> None:
        loop = asyncio.get_running_loop()
        self._settings = settings
        self._client = client
        self._metrics = metrics
        self._stop = stop
        self._watching = asyncio.Event()
        self._facts = Facts(
            cluster_domain=settings.cluster_domain,
            gateway_image=settings.gateway_image,
            gateway_pull_secrets=settings.gateway_pull_secrets,
        )
        self._queue: WorkQueue[ObjectKey] = WorkQueue()
        self._engines = EngineCache(on_change=self._engine_changed)
        self._view = ClusterView(client, wake=self._wake, wake_node=self._node_changed)
        self._store = ReportStore(
            clock=loop.time,
            now=_now,
            on_change=self._wake_engines_on,
            fastest_seconds=settings.report_interval_seconds,
        )
        self._assignments = AssignmentBook(compute=self._assignment)
        self._fleet = FleetBook(
            self._store,
            agents_deployed=lambda: len(self._view.agents) > 0,
            expected_gpus=self._expected_gpus,
            node_age=self._node_age,
            clock=loop.time,
            wake_node=self._wake_engines_on,
        )
        self._reconciler = Reconciler(
            client=client,
            engines=self._engines,
            view=self._view,
            queue=self._queue,
            recorder=EventRecorder(
                client, instance=socket.gethostname(), clock=loop.time, now=_now
            ),
            metrics=metrics,
            facts=lambda: replace(
                self._facts, service_monitor_supported=self._view.monitors.supported
            ),
            fleet_of=lambda key, uid: self._fleet.fleet(
                uid, (pod.node for pod in self._view.pods_of(key) if pod.node)
            ),
            on_render=self._outdate_nodes_of,
            clock=loop.time,
            now=_now,
        )
        self._agents = AgentsPort(
            settings,
            client=client,
            store=self._store,
            assignments=self._assignments,
            metrics=metrics,
        )
        metrics.gauge("queue_depth", "Engines that wait for a pass.", lambda: len(self._queue))
        metrics.gauge(
            "queue_oldest_seconds",
            "How long the engine that waits longest has waited.",
            lambda: self._queue.oldest_seconds,
        )
        metrics.gauge("engines", "Engines in the cluster.", lambda: len(self._engines))
        metrics.gauge("nodes_reporting", "Nodes whose agent has reported.", self._store.__len__)

    async def run(self) -> None:
        """Serve, sync, work; drain at the end."""
        http, address = await serve_http(
            self._settings.http, self._metrics, alive=self._not_alive, ready=self._not_ready
        )
        try:
            logger.info("serving metrics and health", extra={"address": str(address)})
            await self._agents.open()
            await self._work()
        finally:
            await self._agents.close()
            await http.cleanup()

    async def _asked_to_stop(self) -> None:
        """Wait for the end, with the signals in our hands again once kopf has taken them over.

        kopf cancels at its end what it did not start, gRPC's pending accept among it, after waiting
        five seconds for it: so agents are to be sent away first.
        """
        watching = asyncio.create_task(self._watching.wait(), name="watching")
        stop = asyncio.create_task(self._stop.wait(), name="stop signal")
        try:
            await asyncio.wait([watching, stop], return_when=asyncio.FIRST_COMPLETED)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._stop.set)
            await stop
        finally:
            watching.cancel()
            stop.cancel()

    async def _work(self) -> None:
        background = [
            asyncio.create_task(informer.run(), name=f"informer-{informer.resource.plural}")
            for informer in self._view.informers
        ]
        background.append(asyncio.create_task(self._view.monitors.run(), name="service-monitors"))
        background.append(asyncio.create_task(self._sweep(), name="sweep"))
        background += self._agents.start()
        try:
            await self._first_lists(background)
            background.append(asyncio.create_task(self._relist_engines(), name="relist-engines"))
            background.append(
                asyncio.create_task(
                    run_workers(self._reconciler, self._settings.workers), name="workers"
                )
            )
            # kopf cancels at its end what was started after it: all of ours is there by now.
            kopf = asyncio.create_task(
                watch_engines(self._client, self._engines, ready=self._watching), name="kopf"
            )
            stop = asyncio.create_task(self._asked_to_stop(), name="stop")
            logger.info("ready", extra={"engines": len(self._engines)})
            done, _ = await asyncio.wait(
                [kopf, stop, *background], return_when=asyncio.FIRST_COMPLETED
            )
            logger.info("stopping")
            stop.cancel()
            await self._agents.close()
            kopf.cancel()
            await asyncio.wait([kopf], timeout=STOP_SECONDS)
            for task in done - {stop}:
                # A part that died takes the process along: the restart begins with clean lists.
                task.result()
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)

    async def _first_lists(self, background: list[asyncio.Task[None]]) -> None:
        try:
            await self._list_engines()
        except ApiError as error:
            # Discovery is open to every account: a missing role shows here first.
            raise StartupError(
                f"The engines cannot be listed: {error.message}. Check the network, and that"
                " deploy/base with the operator's roles is applied."
            ) from error
        synced = asyncio.create_task(self._view.wait_synced(), name="first lists")
        stop = asyncio.create_task(self._stop.wait(), name="stop")
        done, _ = await asyncio.wait(
            [synced, stop, *background],
            return_when=asyncio.FIRST_COMPLETED,
            timeout=SYNC_SECONDS,
        )
        synced.cancel()
        stop.cancel()
        for task in background:
            if task in done:
                task.result()
        if not done:
            missing = [i.resource.plural for i in self._view.informers if not i.has_synced]
            raise StartupError(
                f"The first lists of {', '.join(missing)} did not arrive in {SYNC_SECONDS:g} s:"
                " see the warnings above; the operator's ClusterRole may lack a rule."
            )

    async def _relist_engines(self) -> None:
        """Find what kopf's watch has missed: it never reports what was deleted during a gap."""
        while True:
            await asyncio.sleep(ENGINES_RELIST_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311
            try:
                await self._list_engines()
            except ApiError as error:
                logger.warning("relist failed", extra={"error": error.message})

    async def _list_engines(self) -> None:
        pages = [page async for page in self._client.list_chunks(ENGINES)]
        self._engines.replace_all(
            (engine for page in pages for engine in _items(page)),
            version=pages[-1]["metadata"]["resourceVersion"],
        )

    async def _sweep(self) -> None:
        while True:
            pause = min(self._fleet.sweep(), 5.0)
            await asyncio.sleep(pause)

    def _wake(self, key: ObjectKey) -> None:
        self._outdate_nodes_of(key)
        self._queue.add(key)

    def _engine_changed(self, key: ObjectKey) -> None:
        self._outdate_nodes_of(key)
        self._queue.add(key)

    def _outdate_nodes_of(self, key: ObjectKey) -> None:
        for pod in self._view.pods.group(key).values():
            self._assignments.outdate(pod.node)

    def _node_changed(self, node: str) -> None:
        if node and self._view.nodes.get(ObjectKey("", node)) is None:
            self._fleet.forget(node)
        if node:
            self._assignments.outdate(node)
            self._wake_engines_on(node)
        else:
            # Agents were installed or removed: every engine's conditions say so.
            for key in self._engines.all():
                self._queue.add(key)

    def _wake_engines_on(self, node: str) -> None:
        for key in self._view.engines_on(node):
            self._queue.add(key)

    def _assignment(self, node: str) -> Assignment:
        return Assignment(
            engines=tuple(
                entry
                for key in sorted(self._view.engines_on(node))
                if (
                    entry := self._reconciler.on_node(
                        key, node, cluster_domain=self._settings.cluster_domain
                    )
                )
            ),
            expected_gpus=self._expected_gpus(node),
        )

    def _expected_gpus(self, node: str) -> int | None:
        known = self._view.nodes.get(ObjectKey("", node))
        return (known.gpus or None) if known else None

    def _node_age(self, node: str) -> float:
        known = self._view.nodes.get(ObjectKey("", node))
        return (_now() - known.created_at).total_seconds() if known else 0.0

    def _not_alive(self) -> list[str]:
        # That the loop answers is the whole proof: a part that dies ends the process, and an API
        # server that is away must not cost us what the agents have reported.
        return []

    def _not_ready(self) -> list[str]:
        now = asyncio.get_running_loop().time()
        wrong = [
            f"waiting for the first list of {informer.resource.plural}"
            for informer in self._view.informers
            if not informer.has_synced
        ]
        wrong += [
            f"the watch of {informer.resource.plural} has been silent for too long"
            for informer in self._view.informers
            if informer.has_synced and now - informer.last_heard > MAX_WATCH_SILENCE_SECONDS
        ]
        if not self._watching.is_set():
            wrong.append("the watch of the engines has not started")
        return wrong + self._agents.trouble()


async def _check_api(client: KubeClient) -> None:
    """Say in one sentence why the process could never work, before anything else starts."""
    try:
        document = await client.get_path(f"/apis/{API_VERSION}")
    except NotFound as error:
        raise StartupError(_CRD_MISSING) from error
    except Forbidden as error:
        raise StartupError(
            f"The API server at {client.server} refuses the operator: {error.message}. Apply"
            " deploy/base, which holds its ServiceAccount and roles."
        ) from error
    except ApiUnavailable as error:
        raise StartupError(
            f"The API server at {client.server} cannot be reached: {error.message}. Check the"
            " kubeconfig and the network."
        ) from error
    except ApiError as error:
        raise StartupError(
            f"The API server at {client.server} answers {error.status} ({error.message}): check the"
            " credentials of the kubeconfig."
        ) from error
    if not any(entry.get("name") == PLURAL for entry in document.get("resources") or ()):
        raise StartupError(_CRD_MISSING)


_CRD_MISSING = (
    f"The cluster does not know {PLURAL}.{API_VERSION.split('/')[0]}: install the CRD first, with"
    " `make install` or `kubectl apply --server-side -f deploy/crds/`."
)


def _items(page: dict[str, object]) -> list[dict[str, object]]:
    items = page.get("items") or []
    assert isinstance(items, list)  # noqa: S101 - for the type checker
    return items


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
