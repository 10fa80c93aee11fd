"""Processes: start one that cannot outlive us, end one, recognise one that we once started.

Linux only: it reads /proc and asks for a signal at the death of the parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PR_SET_PDEATHSIG = 1
PROC = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One process, this boot's and no other: a number that is given out again is not it."""

    pid: int
    start_time: int
    """In clock ticks since boot."""
    boot_id: str


def identity_of(pid: int, *, proc: Path = PROC) -> Identity | None:
    """Return who has that number now; None when nobody does, or only a zombie."""
    try:
        stat = (proc / str(pid) / "stat").read_text()
        boot_id = (proc / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    # The second field is the program's name, in parentheses and free to hold any of them.
    fields = stat.rpartition(")")[2].split()
    state, start_time = fields[0], int(fields[19])
    return None if state in "ZX" else Identity(pid=pid, start_time=start_time, boot_id=boot_id)


def is_alive(identity: Identity, *, proc: Path = PROC) -> bool:
    """Whether that very process still runs."""
    return identity_of(identity.pid, proc=proc) == identity


def send(identity: Identity, number: signal.Signals) -> bool:
    """Send a signal to that very process; False when it no longer runs."""
    try:
        # The descriptor stays with the process that had the number when it was opened, so nobody
        # can slip in between the look and the signal.
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return False
    try:
        if not is_alive(identity):
            return False
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, number)
            return True
        return False
    finally:
        os.close(descriptor)


def start(
    arguments: Sequence[str | Path], *, folder: Path, log: Path, environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own; it dies with this process, however that ends.

    For processes of one thread only: the kernel ties the child to the *thread* that started it, and
    running code between fork and exec is not safe beside other threads.
    """
    with log.open("wb") as out:
        return subprocess.Popen(
            arguments,
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_tie_to_parent(os.getpid()),
        )


def _tie_to_parent(parent: int) -> Callable[[], None]:
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def tie() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have died before the request was made: then no signal will ever come.
        if os.getppid() != parent:
            os._exit(1)

    return tie


def end(process: subprocess.Popen[bytes], *, grace: float) -> None:
    """End a server: ask, wait, insist, wait."""
    process.terminate()
    try:
        process.wait(timeout=grace)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port(*, host: str) -> int:
    """Return a port that nobody listens on at this moment; who starts late must ask again."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as asked:
        asked.bind((host, 0))
        port: int = asked.getsockname()[1]
        return port
