"""The cache server's admin API, as far as the gateway reads it: GET of fixed paths on loopback.

A client of its own rather than urllib: it takes no proxy from the environment, follows no redirect,
and every step stands under one deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

LOOPBACK = "127.0.0.1"
CHUNK_BYTES = 64 * 1024
_HEAD_LIMIT_BYTES = 16 * 1024


class UpstreamError(Exception):
    """The server's answer is not to be had; the message is a sentence without its full stop."""


class Refused(UpstreamError):
    """Nothing listens: the server is starting, or it has ended."""


class Hangs(UpstreamError):
    """The server took the connection and does not answer in time."""


class Garbled(UpstreamError):
    """What came back is no HTTP answer, is incomplete, or is too large."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer."""

    status: int
    content_type: str
    body: bytes


@dataclass(slots=True)
class Stream:
    """An answer whose head has come. `length` is None where only the end tells the size."""

    status: int
    content_type: str
    length: int | None
    _reader: asyncio.StreamReader = field(repr=False)
    _is_chunked: bool = False

    async def chunks(self, deadline: _Deadline) -> AsyncIterator[bytes]:
        """Yield the body in small pieces. Raises UpstreamError."""
        if self._is_chunked:
            while size := _chunk_size(await self._line(deadline)):
                async for piece in self._exactly(size, deadline):
                    yield piece
                await self._line(deadline)
        elif self.length is not None:
            async for piece in self._exactly(self.length, deadline):
                yield piece
        else:
            while piece := await self._read(CHUNK_BYTES, deadline):
                yield piece

    async def _exactly(self, size: int, deadline: _Deadline) -> AsyncIterator[bytes]:
        while size:
            piece = await self._read(min(size, CHUNK_BYTES), deadline)
            if not piece:
                raise Garbled("the cache server's answer ends too early")
            size -= len(piece)
            yield piece

    async def _read(self, size: int, deadline: _Deadline) -> bytes:
        async with deadline.guard():
            return await self._reader.read(size)

    async def _line(self, deadline: _Deadline) -> bytes:
        async with deadline.guard():
            return await self._reader.readuntil(b"\r\n")


class _Deadline:
    """The time until which everything about one answer must have happened."""

    def __init__(self, seconds: float, port: int) -> None:
        self._seconds = seconds
        self._port = port
        self._at = asyncio.get_running_loop().time() + seconds

    @contextlib.asynccontextmanager
    async def guard(self) -> AsyncIterator[None]:
        """Say in a sentence what goes wrong inside. Raises UpstreamError."""
        try:
            async with asyncio.timeout_at(self._at):
                yield
        except TimeoutError as error:
            raise Hangs(
                f"the cache server does not answer within {self._seconds:g} s: it hangs"
            ) from error
        except asyncio.IncompleteReadError as error:
            what = "ends too early" if error.partial else "does not come: it closes the connection"
            raise Garbled(f"the cache server's answer {what}") from error
        except asyncio.LimitOverrunError as error:
            raise Garbled("the cache server's answer is no HTTP") from error
        except OSError as error:
            if error.errno == errno.ECONNREFUSED:
                raise Refused(
                    f"the cache server refuses connections on {LOOPBACK}:{self._port}:"
                    " it is starting, or it has ended"
                ) from error
            raise Garbled(f"the connection to the cache server broke: {error.strerror}") from error


class Upstream:
    """The server behind a port of the pod's own loopback."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def get(self, path: str, *, seconds: float, limit_bytes: int) -> Answer:
        """Return the whole answer. Raises UpstreamError."""
        async with self.stream(path, seconds=seconds) as (stream, body):
            pieces, size = [], 0
            async for piece in body:
                pieces.append(piece)
                size += len(piece)
                if size > limit_bytes:
                    raise Garbled(
                        f"the cache server's answer is larger than {limit_bytes >> 10} KiB"
                    )
            return Answer(stream.status, stream.content_type, b"".join(pieces))

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, *, seconds: float
    ) -> AsyncIterator[tuple[Stream, AsyncIterator[bytes]]]:
        """Open an answer: its head, and its body, which must be read within the time too.

        Raises UpstreamError.
        """
        deadline = _Deadline(seconds, self.port)
        writer = None
        try:
            async with deadline.guard():
                reader, writer = await asyncio.open_connection(
                    LOOPBACK, self.port, limit=_HEAD_LIMIT_BYTES
                )
                writer.write(
                    f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}:{self.port}\r\n"
                    "User-Agent: lmcache-gateway\r\nConnection: close\r\n\r\n".encode()
                )
                head = await reader.readuntil(b"\r\n\r\n")
            stream = _stream(head, reader)
            yield stream, stream.chunks(deadline)
        finally:
            if writer is not None:
                writer.transport.abort()


def _stream(head: bytes, reader: asyncio.StreamReader) -> Stream:
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines if line)
    }
    length = headers.get("content-length", "")
    is_http = version.startswith("HTTP/1.") and rest[:3].isdecimal()
    if not is_http or (length and not length.isdecimal()):
        raise Garbled("the cache server's answer is no HTTP")
    is_chunked = headers.get("transfer-encoding", "").lower() == "chunked"
    return Stream(
        status=int(rest[:3]),
        content_type=headers.get("content-type", "application/octet-stream"),
        length=int(length) if length and not is_chunked else None,
        _reader=reader,
        _is_chunked=is_chunked,
    )


def _chunk_size(line: bytes) -> int:
    try:
        return int(line.partition(b";")[0], 16)
    except ValueError as error:
        raise Garbled("the cache server's answer is no HTTP") from error
