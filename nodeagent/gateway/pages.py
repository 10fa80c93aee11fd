"""What the gateway answers: /healthz, /status and /metrics.

Each trouble of the server has a status code of its own, because the kubelet's Event about a failed
probe carries the code and not the sentence: 502 refused, 504 hangs, 503 unhealthy or garbled.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus

from nodeagent.gateway.listener import Page, Reply, page, text, whole
from nodeagent.gateway.shared import Shared
from nodeagent.gateway.upstream import Answer, Garbled, Hangs, Refused, Upstream, UpstreamError

HEALTH_SECONDS = 2.0
HEALTH_KEEP_SECONDS = 1.0
HEALTH_LIMIT_BYTES = 64 * 1024
STATUS_SECONDS = 5.0
# Every call makes the server check its memory.
STATUS_KEEP_SECONDS = 5.0
STATUS_LIMIT_BYTES = 4 * 1024 * 1024
# Less than the time-out of a scrape (10 s by default), so that the sentence arrives.
METRICS_SECONDS = 8.0
METRICS_AT_A_TIME = 4
METRICS_WAIT_SECONDS = 2.0
_REASON_LIMIT = 200

logger = logging.getLogger(__name__)


class _Paths:
    """A page of the server under its name of today, or, in older releases, under /api."""

    def __init__(self, upstream: Upstream, path: str) -> None:
        self._upstream = upstream
        self._paths = [path, f"/api{path}"]

    async def get(self, *, seconds: float, limit_bytes: int) -> Answer:
        """Return the answer. Raises UpstreamError."""
        answer = await self._get(seconds, limit_bytes)
        if answer.status == HTTPStatus.NOT_FOUND:
            self._paths.reverse()
            answer = await self._get(seconds, limit_bytes)
        return answer

    async def _get(self, seconds: float, limit_bytes: int) -> Answer:
        return await self._upstream.get(self._paths[0], seconds=seconds, limit_bytes=limit_bytes)


class Pages:
    """All pages over one server."""

    def __init__(self, upstream: Upstream, *, clock: Callable[[], float]) -> None:
        self._upstream = upstream
        self._health_paths = _Paths(upstream, "/healthcheck")
        self._status_paths = _Paths(upstream, "/status")
        self._health = Shared(self._ask_health, keep_seconds=HEALTH_KEEP_SECONDS, clock=clock)
        self._status = Shared(self._ask_status, keep_seconds=STATUS_KEEP_SECONDS, clock=clock)
        self._slots = asyncio.Semaphore(METRICS_AT_A_TIME)
        self._said = ""

    def health(self) -> dict[str, Page]:
        """Return the pages of the gateway's own port."""
        return {"/healthz": page(self._healthz), "/status": page(self._status_page)}

    def metrics(self) -> dict[str, Page]:
        """Return the pages of the metrics port."""
        return {"/metrics": self._metrics}

    async def _healthz(self) -> Reply:
        return text(*await self._health.get())

    async def _ask_health(self) -> tuple[HTTPStatus, str]:
        try:
            verdict = _verdict(
                await self._health_paths.get(seconds=HEALTH_SECONDS, limit_bytes=HEALTH_LIMIT_BYTES)
            )
        except UpstreamError as error:
            verdict = code_of(error), str(error)
        if verdict[1] != self._said:
            self._said = verdict[1]
            is_good = verdict[0] == HTTPStatus.OK
            logger.log(logging.INFO if is_good else logging.WARNING, verdict[1])
        return verdict

    async def _status_page(self) -> Reply:
        found = await self._status.get()
        if isinstance(found, UpstreamError):
            return text(code_of(found), str(found))
        age = str(int(self._status.age_seconds))
        return whole(HTTPStatus.OK, found.content_type, found.body, Age=age)

    async def _ask_status(self) -> Answer | UpstreamError:
        try:
            answer = await self._status_paths.get(
                seconds=STATUS_SECONDS, limit_bytes=STATUS_LIMIT_BYTES
            )
        except UpstreamError as error:
            return error
        if answer.status != HTTPStatus.OK:
            return Garbled(f"the cache server answers /status with {answer.status}")
        return answer

    @contextlib.asynccontextmanager
    async def _metrics(self) -> AsyncIterator[Reply]:
        """Pass the server's metrics through, piece by piece: they are kept nowhere."""
        try:
            async with asyncio.timeout(METRICS_WAIT_SECONDS):
                await self._slots.acquire()
        except TimeoutError:
            yield text(
                HTTPStatus.SERVICE_UNAVAILABLE, f"{METRICS_AT_A_TIME} scrapes are under way already"
            )
            return
        has_begun = False
        try:
            async with self._upstream.stream("/metrics", seconds=METRICS_SECONDS) as (stream, body):
                if stream.status != HTTPStatus.OK:
                    raise Garbled(f"the cache server answers /metrics with {stream.status}")
                has_begun = True
                yield Reply(HTTPStatus.OK, stream.content_type, body, stream.length)
        except UpstreamError as error:
            if has_begun:
                # Part of the answer is on its way: the reset of the connection tells the rest.
                logger.warning("a scrape broke off: %s", error)
            else:
                yield text(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        finally:
            self._slots.release()


def code_of(error: UpstreamError) -> HTTPStatus:
    """Return the status code by which a trouble can be told from others."""
    if isinstance(error, Refused):
        return HTTPStatus.BAD_GATEWAY
    if isinstance(error, Hangs):
        return HTTPStatus.GATEWAY_TIMEOUT
    return HTTPStatus.SERVICE_UNAVAILABLE


def _verdict(answer: Answer) -> tuple[HTTPStatus, str]:
    try:
        content = json.loads(answer.body)
    except ValueError:
        content = None
    content = content if isinstance(content, dict) else {}
    if answer.status == HTTPStatus.OK and content.get("status", "healthy") == "healthy":
        return HTTPStatus.OK, "healthy"
    reason = content.get("reason") or f"it answers its health check with {answer.status}"
    words = "".join(sign if sign.isprintable() else " " for sign in str(reason)[:_REASON_LIMIT])
    return (
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"the cache server says that it is unhealthy: {words}",
    )
