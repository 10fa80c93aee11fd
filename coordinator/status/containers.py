"""A pod's containers, reduced to what tells why one does not run. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from coordinator.render.names import CONTAINER, GATEWAY_CONTAINER

TEXT_LIMIT = 400

# What a program prints when it dies can hold anything; what looks like a credential does not belong
# into a status that more people may read than its log.
_CREDENTIAL_IN_URL = re.compile(r"://[^/\s@]*@")
_CREDENTIAL_NAMED = re.compile(
    r"(?i)([\w-]*(?:password|passwd|secret|token|api[_-]?key)[\w-]*[\"']?\s*[=:]\s*)"
    r"(\"[^\"]*\"|'[^']*'|[^\s,;}]+)"
)


@dataclass(frozen=True, slots=True)
class Termination:
    """How a container ended the last time."""

    reason: str
    exit_code: int
    last_line: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Container:
    """One container. `waiting` is empty while it runs; `last` is None if it has never ended."""

    name: str
    image: str = ""
    memory_limit: str = ""
    is_init: bool = False
    is_ready: bool = False
    is_started: bool = False
    running_since: datetime | None = None
    restarts: int = 0
    waiting: str = ""
    waiting_message: str = ""
    last: Termination | None = None

    @property
    def title(self) -> str:
        """Return what the container is to a reader."""
        if self.is_init:
            return f"init container {self.name}"
        return {CONTAINER: "the cache server", GATEWAY_CONTAINER: "the gateway"}.get(
            self.name, f"container {self.name}"
        )


def containers_from(manifest: Mapping[str, Any]) -> tuple[Container, ...]:
    """Project the containers of a Pod, init containers first."""
    return tuple(_containers(manifest))


def one_line(text: str, *, limit: int = TEXT_LIMIT) -> str:
    """Return a text as one line of bounded length without what looks like a credential."""
    line = " ".join(text.split())
    line = _CREDENTIAL_IN_URL.sub("://***@", line)
    line = _CREDENTIAL_NAMED.sub(r"\1***", line)
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def moment(text: str | None) -> datetime | None:
    """Return the moment that a timestamp of the API names."""
    return datetime.fromisoformat(text) if text else None


def _containers(manifest: Mapping[str, Any]) -> Iterator[Container]:
    spec, status = manifest.get("spec") or {}, manifest.get("status") or {}
    for specs, statuses, is_init in (
        ("initContainers", "initContainerStatuses", True),
        ("containers", "containerStatuses", False),
    ):
        known = {entry["name"]: entry for entry in status.get(statuses) or ()}
        for container in spec.get(specs) or ():
            yield _container(container, known.get(container["name"]) or {}, is_init=is_init)


def _container(spec: Mapping[str, Any], status: Mapping[str, Any], *, is_init: bool) -> Container:
    state = status.get("state") or {}
    waiting = state.get("waiting") or {}
    running = state.get("running") or {}
    # Between a crash and the next start the newest end stands in `state`, afterwards in lastState.
    ended = state.get("terminated") or (status.get("lastState") or {}).get("terminated")
    limits = (spec.get("resources") or {}).get("limits") or {}
    return Container(
        name=spec["name"],
        image=spec.get("image", ""),
        memory_limit=str(limits.get("memory", "")),
        is_init=is_init,
        is_ready=bool(status.get("ready")),
        is_started=bool(status.get("started")),
        running_since=moment(running.get("startedAt")),
        restarts=status.get("restartCount", 0),
        waiting=waiting.get("reason", ""),
        waiting_message=one_line(waiting.get("message", "")),
        last=_termination(ended) if ended else None,
    )


def _termination(ended: Mapping[str, Any]) -> Termination:
    lines = [line for line in (ended.get("message") or "").splitlines() if line.strip()]
    return Termination(
        reason=ended.get("reason", ""),
        exit_code=ended.get("exitCode", 0),
        last_line=one_line(lines[-1], limit=200) if lines else "",
        at=moment(ended.get("finishedAt")),
    )
