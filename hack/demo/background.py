"""Programs that go on after the demo's command has ended, and how they are ended again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hack.controlplane import wait_until
from hack.controlplane.processes import Identity, identity_of, is_alive, send

STOP_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Background:
    """The programs of one demo folder; what was started stands in programs.json."""

    folder: Path

    @property
    def _file(self) -> Path:
        return self.folder / "programs.json"

    def start(self, name: str, arguments: Sequence[str], *, environ: Mapping[str, str]) -> Path:
        """Start a program in a session of its own; returns its log."""
        log = self.log(name)
        with log.open("wb") as out:
            process = subprocess.Popen(
                arguments,
                env={**os.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        identity = identity_of(process.pid)
        if identity is not None:
            known = {**self._known(), name: identity}
            self._file.write_text(json.dumps({key: asdict(who) for key, who in known.items()}))
        return log

    def log(self, name: str) -> Path:
        """Return where a program's output goes."""
        return self.folder / f"{name}.log"

    def runs(self, name: str) -> bool:
        """Tell whether a program that was started still runs."""
        identity = self._known().get(name)
        return identity is not None and is_alive(identity)

    def stop(self, *names: str) -> list[str]:
        """End programs, all of them where none is named; returns who did run."""
        known = self._known()
        asked = {name: known[name] for name in names or known if name in known}
        running = [name for name, who in asked.items() if send(who, signal.SIGTERM)]
        wait_until(
            lambda: not any(is_alive(asked[name]) for name in running),
            within=STOP_SECONDS,
            what=f"{', '.join(running)} to end",
        )
        return running

    def _known(self) -> dict[str, Identity]:
        if not self._file.exists():
            return {}
        entries = json.loads(self._file.read_text())
        return {name: Identity(**entry) for name, entry in entries.items()}
