"""What can go wrong, told in one sentence; a class answers "what must change before a retry?".

ControlPlaneError        anything below; `str()` is fit to print as it is
├── BuildFailed          a program is missing and could not be built (Go, the network, the disk)
├── StartFailed          a server did not come up: its log says why
├── NotRunning           there is no control plane in that folder
├── CommandFailed        kubectl or an API request was refused
└── TimedOut             something did not happen in the time that was given
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

TAIL_LINES = 20


class ControlPlaneError(Exception):
    """A sentence for the person at the terminal, and perhaps the end of a log below it."""


class BuildFailed(ControlPlaneError):
    """A program is missing and could not be built."""


class StartFailed(ControlPlaneError):
    """A server did not come up, or the control plane cannot start in that folder."""


class NotRunning(ControlPlaneError):
    """There is no control plane in that folder."""


class CommandFailed(ControlPlaneError):
    """The API server, or kubectl on its behalf, said no."""


class TimedOut(ControlPlaneError):
    """Something did not happen in the time that was given."""


def with_log_tail(sentence: str, log: Path) -> str:
    """Return the sentence followed by the last lines of a log, when there is one."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    if not lines:
        return f"{sentence} It left nothing in {log.name}."
    tail = "\n".join(f"  | {line}" for line in lines[-TAIL_LINES:])
    return f"{sentence} The end of {log.name}:\n{tail}"
