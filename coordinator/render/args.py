"""The arguments of `lmcache server`: a fixed order, so that a render changes only with its spec."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coordinator.render.l2 import l2_adapter
from coordinator.render.release import (
    FIRST_WITH_EVENT_FLAGS,
    LAST_WITH_PROMETHEUS_PORT,
    Release,
    server_release,
    unsupported,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordinator.api.problem import Problem
    from coordinator.api.spec import EngineSpec


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments, and what the user should know about them.

    `notes` are warnings. `unsupported` is what the spec asks for and the image's release does not
    have: with these arguments the server would exit at once (or, with serde, store in the clear),
    so they are better not applied.
    """

    args: tuple[str, ...]
    notes: tuple[Problem, ...] = ()
    unsupported: tuple[Problem, ...] = ()


def arguments(spec: EngineSpec) -> Arguments:
    """Return the server's arguments. Flag and value are two items, as in upstream's operator."""
    found = server_release(spec)
    return Arguments(
        args=(
            *_server(spec),
            *_l1(spec),
            *_engine(spec),
            *_metrics(spec, found.release),
            *_l2(spec),
            *_fleet_coordinator(spec, found.release),
            # Last, because of a repeated flag the server takes the last.
            *spec.extra_args,
        ),
        notes=(found.note,) if found.note else (),
        unsupported=tuple(unsupported(spec, found.release)),
    )


def number(value: float) -> str:
    """Return a number as the user wrote it: 60, 0.05; no digit is lost and none is added."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _server(spec: EngineSpec) -> Iterator[str]:
    yield from ("--host", "0.0.0.0")
    yield from ("--port", str(spec.server.port))
    # The admin API has no authentication: it prints secrets and empties the cache on demand.
    # Releases before 0.5.6 open it to everyone unless told otherwise.
    yield from ("--http-host", "127.0.0.1")
    yield from ("--http-port", str(spec.server.http_port))
    if spec.isolated_ipc:
        yield "--isolated-ipc"


def _l1(spec: EngineSpec) -> Iterator[str]:
    yield from ("--l1-size-gb", number(spec.l1.size_gb))
    if spec.l1.init_size_gb is not None:
        # The server's parser takes whole numbers only.
        yield from ("--l1-init-size-gb", str(math.ceil(spec.l1.init_size_gb)))
    if spec.l1.use_hugepages:
        yield "--l1-use-hugepages"


def _engine(spec: EngineSpec) -> Iterator[str]:
    yield from ("--chunk-size", str(spec.server.chunk_size))
    yield from ("--max-workers", str(spec.server.max_workers))
    yield from ("--hash-algorithm", spec.server.hash_algorithm)
    yield from ("--eviction-policy", spec.eviction.policy)
    yield from ("--eviction-trigger-watermark", number(spec.eviction.trigger_watermark))
    yield from ("--eviction-ratio", number(spec.eviction.eviction_ratio))


def _metrics(spec: EngineSpec, release: Release) -> Iterator[str]:
    # Never --disable-prometheus: no release with `lmcache server` has it.
    if not spec.prometheus.enabled:
        yield "--disable-metrics"
    elif release <= LAST_WITH_PROMETHEUS_PORT:
        yield from ("--prometheus-port", str(spec.prometheus.port))


def _l2(spec: EngineSpec) -> Iterator[str]:
    backend = spec.l2_backend
    if backend is None:
        return
    yield from ("--l2-adapter", l2_adapter(backend))
    yield from ("--l2-store-policy", backend.store_policy)
    yield from ("--l2-prefetch-policy", backend.prefetch_policy)
    yield from ("--l2-prefetch-max-in-flight", str(backend.prefetch_max_in_flight))


def _fleet_coordinator(spec: EngineSpec, release: Release) -> Iterator[str]:
    coordinator = spec.coordinator
    if coordinator is None or coordinator.url is None:
        return
    event = "event" if release >= FIRST_WITH_EVENT_FLAGS else "l2-event"
    yield from ("--coordinator-url", coordinator.url)
    if coordinator.advertise_ip:
        yield from ("--coordinator-advertise-ip", coordinator.advertise_ip)
    yield from ("--coordinator-heartbeat-interval", number(coordinator.heartbeat_interval))
    if coordinator.event_reporting:
        yield f"--coordinator-{event}-reporting"
    yield from (f"--coordinator-{event}-flush-interval", number(coordinator.event_flush_interval))
