"""The XIDs since the node booted: what NVML announces once, remembered until it is settled.

Kept in a directory under /run that a restart of the agent does not empty, and bound to the boot:
a file of another boot is ignored. `lmcache-node-agent clear` leaves a mark there, which the agent
takes up with its next look.
"""

import contextlib
import json
import logging
import os
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

_LOG = logging.getLogger(__name__)

_FILE = "xids.json"
_CLEARED = "cleared"
_LARGEST_FILE = 1 << 20
# A GPU that announces more different errors than this is beyond telling them apart.
_MOST_PER_GPU = 64


@dataclass(frozen=True, slots=True)
class Xid:
    """One error number of one GPU: how often, and when last (seconds since the epoch)."""

    uuid: str
    number: int
    count: int
    last: float


class XidLog:
    """All XIDs of this boot. Every method may be called from any thread."""

    def __init__(self, directory: Path | None, *, boot_id: str) -> None:
        self._directory = directory
        self._boot_id = boot_id
        self._lock = threading.Lock()
        self._xids: dict[tuple[str, int], Xid] = {}
        for xid in self._load():
            self._xids[xid.uuid, xid.number] = xid

    def add(self, uuid: str, number: int, *, now: float) -> None:
        """Record that a GPU announced an error."""
        with self._lock:
            before = self._xids.get((uuid, number))
            if before is not None:
                self._xids[uuid, number] = replace(before, count=before.count + 1, last=now)
            elif sum(xid.uuid == uuid for xid in self._xids.values()) < _MOST_PER_GPU:
                self._xids[uuid, number] = Xid(uuid, number, count=1, last=now)
            self._save()

    def settle(self, settled: Iterable[Xid]) -> None:
        """Forget errors that no longer matter, unless they have come again since."""
        with self._lock:
            gone = [xid for xid in settled if self._xids.get((xid.uuid, xid.number)) == xid]
            for xid in gone:
                del self._xids[xid.uuid, xid.number]
            if gone:
                self._save()

    def xids(self) -> tuple[Xid, ...]:
        """Return what stands, after taking up what people cleared."""
        with self._lock:
            cleared = self._take_cleared()
            kept = {key: xid for key, xid in self._xids.items() if xid.uuid not in cleared}
            if len(kept) != len(self._xids):
                self._xids = kept
                self._save()
            return tuple(self._xids.values())

    def _load(self) -> list[Xid]:
        if self._directory is None:
            return []
        try:
            with (self._directory / _FILE).open(encoding="utf-8") as file:
                content = json.loads(file.read(_LARGEST_FILE))
            if content["boot_id"] != self._boot_id:
                return []
            return [_xid(each) for each in content["xids"]]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            _LOG.warning("the XIDs of before cannot be read", extra={"cause": str(error)})
            return []

    def _save(self) -> None:
        if self._directory is None:
            return
        content = {"boot_id": self._boot_id, "xids": [asdict(xid) for xid in self._xids.values()]}
        fresh = self._directory / f".{_FILE}"
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o755)
            fresh.write_text(json.dumps(content), encoding="utf-8")
            fresh.replace(self._directory / _FILE)
        except OSError as error:
            # Remembered until the agent restarts, then: better than not at all.
            _LOG.warning("the XIDs cannot be kept", extra={"cause": str(error)})

    def _take_cleared(self) -> frozenset[str]:
        if self._directory is None:
            return frozenset()
        marks = self._directory / _CLEARED
        try:
            uuids = frozenset(os.listdir(marks))
        except OSError:
            return frozenset()
        for uuid in uuids:
            with contextlib.suppress(OSError):
                (marks / uuid).unlink()
        return uuids


def mark_cleared(directory: Path, uuid: str) -> None:
    """Have the agent forget the XIDs of a GPU; raises OSError."""
    marks = directory / _CLEARED
    marks.mkdir(parents=True, exist_ok=True, mode=0o755)
    (marks / uuid).touch()


def _xid(content: Any) -> Xid:
    return Xid(
        uuid=str(content["uuid"]),
        number=int(content["number"]),
        count=int(content["count"]),
        last=float(content["last"]),
    )
