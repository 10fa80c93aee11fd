"""Takes possession of a control plane's folder, and clears it: our own entries, nothing else."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from typing import TYPE_CHECKING

from hack.controlplane.errors import StartFailed

if TYPE_CHECKING:
    from typing import IO

    from hack.controlplane.layout import Layout


def claim(layout: Layout) -> IO[bytes]:
    """Lock the folder for as long as the returned file is open, and clear what was left in it.

    Raises StartFailed when a control plane runs there, or when something lies there that looks like
    one of our entries but was not made by us.
    """
    if not layout.lock.exists():
        foreign = [entry.name for entry in layout.own_entries() if _is_foreign(entry, layout)]
        if foreign:
            raise StartFailed(
                f"{layout.folder} holds {', '.join(foreign)}, but no control plane made them: "
                f"choose another folder."
            )
    while True:
        lock = layout.lock.open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise StartFailed(f"A control plane already runs in {layout.folder}.") from None
        # Between our open and our lock its last holder may have removed the file: then others
        # would lock a new one of that name, beside us.
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(lock.fileno()).st_ino == layout.lock.stat().st_ino:
                break
        lock.close()
    _remove(layout, keep={layout.lock, layout.supervisor_log})
    layout.logs.mkdir()
    return lock


def clear(layout: Layout) -> None:
    """Remove what a control plane left, and the folder too when nothing else is in it."""
    _remove(layout, keep=set())
    with contextlib.suppress(OSError):
        layout.folder.rmdir()


def _is_foreign(entry: os.PathLike[str], layout: Layout) -> bool:
    # Our own supervisor's log is opened before the lock is made.
    return os.path.lexists(entry) and entry not in {layout.lock, layout.supervisor_log}


def _remove(layout: Layout, *, keep: set[os.PathLike[str]]) -> None:
    for entry in layout.own_entries():
        if entry in keep:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
