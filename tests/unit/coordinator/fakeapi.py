"""An API server in this process, on a port of 127.0.0.1: it answers what a test tells it to."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from coordinator.kube.client import KubeClient
from coordinator.kube.session import Cluster


@dataclass(frozen=True)
class Answer:
    """One answer: a document, or the lines of a watch with pauses in seconds between them."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    events: Iterable[Any] | None = None
    # How the stream ends after its events: closed, broken off, or never.
    end: str = "closed"


def status(code: int, reason: str = "", message: str = "", **rest: Any) -> Answer:
    document = {"kind": "Status", "apiVersion": "v1", "code": code, **rest}
    document |= {"reason": reason, "message": message}
    return Answer(document, status=code)


def watch(*events: Any, end: str = "closed") -> Answer:
    return Answer(events=events, end=end)


def listing(*items: Any, version: str = "100", token: str = "") -> Answer:
    metadata = {"resourceVersion": version} | ({"continue": token} if token else {})
    return Answer({"kind": "List", "metadata": metadata, "items": list(items)})


@dataclass
class Request:
    """What the client sent."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes
    headers: dict[str, str]
    at: float

    @property
    def is_watch(self) -> bool:
        return self.query.get("watch") == "true"


class FakeApi:
    """Gives the prepared answers in their order, then keeps watches open and knows nothing."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.watches: list[Answer] = []
        self.respond: Callable[[Request], Answer | None] = lambda _request: None
        self.requests: list[Request] = []
        self.idle = asyncio.Event()
        self._stop = asyncio.Event()

    @property
    def lists(self) -> list[Request]:
        return [request for request in self.requests if not request.is_watch]

    @property
    def watched(self) -> list[Request]:
        return [request for request in self.requests if request.is_watch]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            self._stop.set()
            await runner.cleanup()

    @asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[KubeClient]:
        async with self.serving() as url:
            client = KubeClient(cluster(url), **options)
            try:
                yield client
            finally:
                await client.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        seen = Request(
            request.method,
            request.path,
            dict(request.query),
            await request.read(),
            dict(request.headers),
            asyncio.get_running_loop().time(),
        )
        self.requests.append(seen)
        prepared = self.watches if seen.is_watch else self.answers
        decided = self.respond(seen)
        if decided is not None:
            answer = decided
        elif prepared:
            answer = prepared.pop(0)
        elif seen.is_watch:
            # Everything that was prepared has been said.
            self.idle.set()
            answer = watch(end="never")
        else:
            answer = status(404, "NotFound", f"{request.path} not found")
        if answer.events is None:
            body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body)
            raw = body if isinstance(body, bytes) else body.encode()
            return web.Response(body=raw, status=answer.status, headers=dict(answer.headers))
        return await self._stream(request, answer)

    async def _stream(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for event in answer.events or ():
            if isinstance(event, float):
                await asyncio.sleep(event)
                continue
            raw = event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n"
            await response.write(raw)
        if answer.end == "never":
            await self._stop.wait()
        elif answer.end == "broken" and request.transport is not None:
            request.transport.close()
        return response


def cluster(url: str) -> Cluster:
    return Cluster(url, ssl.create_default_context(), lambda: None)
