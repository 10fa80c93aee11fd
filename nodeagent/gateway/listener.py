"""The listening side: one bounded GET or HEAD for each connection, and nothing is read beyond it.

Whoever reaches the pod can connect, so everything is bounded: connections, the size of a request's
head, the time that it may take to come, and the time that an answer may take to leave.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

HEAD_LIMIT_BYTES = 8 * 1024
HEAD_SECONDS = 5.0
ANSWER_SECONDS = 15.0
CONNECTIONS = 32
_LINGER_SECONDS = 1.0
TEXT = "text/plain; charset=utf-8"

_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) (/[^\s?#]*)(?:[?#]\S*)? HTTP/1\.[01]")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a page answers. `body` in pieces; `length` None where only the end tells the size."""

    status: HTTPStatus
    content_type: str
    body: AsyncIterator[bytes]
    length: int | None
    headers: Mapping[str, str] = field(default_factory=dict)


Page = Callable[[], "contextlib.AbstractAsyncContextManager[Reply]"]


def text(status: HTTPStatus, sentence: str, **headers: str) -> Reply:
    """Return a reply of one sentence."""
    return whole(status, TEXT, f"{sentence}\n".encode(), **headers)


def whole(status: HTTPStatus, content_type: str, content: bytes, **headers: str) -> Reply:
    """Return a reply whose body is complete."""

    async def body() -> AsyncIterator[bytes]:
        yield content

    return Reply(status, content_type, body(), len(content), headers)


class Listener:
    """Serves pages by their exact paths on one socket."""

    def __init__(
        self,
        pages: Mapping[str, Page],
        *,
        connections: int = CONNECTIONS,
        head_seconds: float = HEAD_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._pages = pages
        self._connections = connections
        self._head_seconds = head_seconds
        self._answer_seconds = answer_seconds
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        # In the order in which they came: the first has been silent for longest.
        self._silent: dict[asyncio.Task[None], None] = {}
        self._server: asyncio.Server | None = None

    async def start(self, bound: socket.socket) -> None:
        """Serve on a bound socket until closed."""
        self._server = await asyncio.start_server(
            self._connected, sock=bound, limit=HEAD_LIMIT_BYTES, backlog=64
        )

    async def close(self) -> None:
        """End the server and every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= self._connections:
            # Those who send nothing must not keep the kubelet out: the oldest of them goes.
            for silent in self._silent:
                silent.cancel()
                del self._silent[silent]
                break
            else:
                writer.transport.abort()
                return
        task = asyncio.create_task(self._serve(reader, writer))
        self._open[task] = writer
        self._silent[task] = None
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        # Here rather than in the task: one that is cancelled before its first step never runs.
        self._open.pop(task).transport.abort()
        self._silent.pop(task, None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A peer that leaves, or is too slow, is no event.
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(self._head_seconds):
                request = await _request(reader)
            task = asyncio.current_task()
            if task is not None:
                self._silent.pop(task, None)
            async with asyncio.timeout(self._answer_seconds):
                is_served = await self._answer(request, writer)
            if not is_served:
                # What a refused request may have brought along is not read, but closing on top of
                # it would be a reset, which can overtake the refusal.
                async with asyncio.timeout(_LINGER_SECONDS):
                    await reader.read(HEAD_LIMIT_BYTES)

    async def _answer(self, request: tuple[str, str] | Reply, writer: asyncio.StreamWriter) -> bool:
        if isinstance(request, Reply):
            await _send(request, writer, is_head=False)
            return False
        method, path = request
        page = self._pages.get(path)
        if method in ("GET", "HEAD") and page is not None:
            async with page() as reply:
                await _send(reply, writer, is_head=method == "HEAD")
            return True
        if page is None:
            reply = text(
                HTTPStatus.NOT_FOUND, f"here is {' and '.join(self._pages)}, and nothing else"
            )
        else:
            reply = text(HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD only", Allow="GET, HEAD")
        await _send(reply, writer, is_head=method == "HEAD")
        return False


async def _request(reader: asyncio.StreamReader) -> tuple[str, str] | Reply:
    """Return method and path of a request, or the refusal that it deserves."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        return text(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"a request's head may have {HEAD_LIMIT_BYTES} bytes",
        )
    match = _REQUEST_LINE.fullmatch(head.partition(b"\r\n")[0])
    if match is None:
        return text(HTTPStatus.BAD_REQUEST, "this is no HTTP/1.1 request")
    return match[1].decode(), match[2].decode("latin-1")


async def _send(reply: Reply, writer: asyncio.StreamWriter, *, is_head: bool) -> None:
    lines = [f"HTTP/1.1 {reply.status.value} {reply.status.phrase}"]
    fields = {
        "Content-Type": reply.content_type,
        "Connection": "close",
        "X-Content-Type-Options": "nosniff",
        **reply.headers,
    }
    if reply.length is not None:
        fields["Content-Length"] = str(reply.length)
    lines += [f"{name}: {value}" for name, value in fields.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
    if not is_head:
        try:
            async for piece in reply.body:
                writer.write(piece)
                await writer.drain()
        except BaseException:
            _reset(writer)
            raise
    await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
    await _flushed(writer)


async def _flushed(writer: asyncio.StreamWriter) -> None:
    """Wait until the transport has handed everything to the kernel."""
    writer.transport.set_write_buffer_limits(high=0)
    await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Make the close a reset: without a length, a plain end would look like a complete answer."""
    peer = writer.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Handler = Callable[[], Awaitable[Reply]]


def page(handler: Handler) -> Page:
    """Return the page of a handler that needs nothing closed after its reply."""

    @contextlib.asynccontextmanager
    async def open_page() -> AsyncIterator[Reply]:
        yield await handler()

    return open_page
