"""The line protocol between the agent and its NVML child: one JSON object per line.

JSON and not pickle: the parent is the more privileged reader, and a corrupted child must not be
able to run code in it. The progress area is a small shared file into which the child writes which
call it is in, so that the parent can name the call that never came back.
"""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

# A full reading of 64 GPUs is about 60 kB; anything beyond this is not ours.
LONGEST_LINE = 1 << 20
PROGRESS_SIZE = 96


def encode(frame: Mapping[str, Any]) -> bytes:
    """Return one frame as a line."""
    return json.dumps(frame, separators=(",", ":")).encode() + b"\n"


class FrameBuffer:
    """Puts frames together from whatever pieces a socket delivers."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Yield the frames that `data` completes.

        Raises:
            ValueError: a line is not a JSON object or is longer than a frame can be.

        """
        self._pending += data
        if len(self._pending) > LONGEST_LINE and b"\n" not in self._pending:
            raise ValueError("a frame is longer than any of ours")
        while (end := self._pending.find(b"\n")) >= 0:
            line = bytes(self._pending[:end])
            del self._pending[: end + 1]
            frame = json.loads(line)
            if not isinstance(frame, dict):
                raise ValueError("a frame is not an object")  # noqa: TRY004 (bad input)
            yield frame


def note_progress(descriptor: int, call: str, gpu: int | None) -> None:
    """Write which NVML call is about to be made."""
    where = "" if gpu is None else str(gpu)
    text = f"{call}\n{where}\n".encode()[:PROGRESS_SIZE]
    os.pwrite(descriptor, text.ljust(PROGRESS_SIZE, b"\0"), 0)


def last_progress(descriptor: int) -> tuple[str, int | None]:
    """Return the call that the child wrote down last, and its GPU's index."""
    lines = os.pread(descriptor, PROGRESS_SIZE, 0).split(b"\0")[0].decode(errors="replace")
    call, _, rest = lines.partition("\n")
    index = rest.partition("\n")[0]
    return call, int(index) if index.isdecimal() else None
