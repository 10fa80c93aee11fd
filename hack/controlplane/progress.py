"""Telling the person at the terminal what takes so long."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable


def _silence(_line: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where progress goes: `line` says what stays, `tick` what the next one overwrites."""

    line: Callable[[str], None] = _silence
    tick: Callable[[str], None] = _silence
    ticks: bool = False
    """Whether anybody sees the ticks."""

    def begin(self, text: str) -> None:
        """Say that something begins whose end will be a line of its own."""
        (self.tick if self.ticks else self.line)(text)


def console(stream: TextIO | None = None) -> Progress:
    """Return progress on a stream: ticking on a terminal, whole lines only anywhere else."""
    out = sys.stderr if stream is None else stream

    if not out.isatty():
        return Progress(line=lambda text: print(text, file=out, flush=True))

    def line(text: str) -> None:
        # Return, erase to the end of the line, write: a tick before it disappears.
        print(f"\r\033[K{text}", file=out, flush=True)

    def tick(text: str) -> None:
        print(f"\r\033[K{text}", end="", file=out, flush=True)

    return Progress(line=line, tick=tick, ticks=True)
