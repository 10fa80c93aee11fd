"""Reads the audit log of the API server: which requests reached it, from whom, with what result."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One stage of one request; a field is "" where the request has none."""

    stage: str
    """"ResponseComplete"; for watches also "ResponseStarted", when they begin."""
    verb: str
    user: str
    user_agent: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    uri: str
    received: str
    """When the request came: RFC 3339 with microseconds, so that text order is time order."""

    @property
    def is_write(self) -> bool:
        """Whether the request was one that may change an object."""
        return self.verb in WRITES


def read(log: Path) -> Iterator[AuditEvent]:
    """Yield the events of a log, oldest first. A line that is still being written is left out."""
    try:
        lines = log.open(encoding="utf-8")
    except FileNotFoundError:
        return
    with lines:
        for line in lines:
            if line.endswith("\n"):
                yield parse(json.loads(line))


def parse(document: dict[str, Any]) -> AuditEvent:
    """Return the event in an `audit.k8s.io/v1` document."""
    target = document.get("objectRef", {})
    return AuditEvent(
        stage=document.get("stage", ""),
        verb=document.get("verb", ""),
        user=document.get("user", {}).get("username", ""),
        user_agent=document.get("userAgent", ""),
        group=target.get("apiGroup", ""),
        resource=target.get("resource", ""),
        subresource=target.get("subresource", ""),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=document.get("responseStatus", {}).get("code", 0),
        uri=document.get("requestURI", ""),
        received=document.get("requestReceivedTimestamp", ""),
    )
