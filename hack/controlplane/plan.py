"""What is said between the process that wants a control plane and the one that supervises it.

The plan goes to the supervisor, one line of JSON on its standard input. Its answers come back, one
line of JSON each. The state lies in the folder for whoever comes later.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hack.controlplane.processes import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to start."""

    folder: Path
    binaries: dict[str, Path]
    kwok_stages: tuple[Path, ...] = ()
    kwok: bool = False
    audit: bool = False
    detached: bool = False
    """Go on after the process that asked has ended."""
    remove: bool = False
    """Leave nothing in the folder at the end."""
    ready_within: float = 120.0
    parent: int = 0
    """Whose end is ours, unless detached."""

    def to_json(self) -> str:
        """Return one line."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, line: str) -> Plan:
        """Return what `to_json` wrote."""
        values: dict[str, Any] = json.loads(line)
        values["folder"] = Path(values["folder"])
        values["binaries"] = {name: Path(path) for name, path in values["binaries"].items()}
        values["kwok_stages"] = tuple(Path(stage) for stage in values["kwok_stages"])
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What the supervisor tells while it starts: any number of sayings, then ready or failed."""

    say: str = ""
    failed: str = ""
    ready: bool = False

    def to_json(self) -> str:
        """Return one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Event:
        """Return what `to_json` wrote."""
        return cls(**json.loads(line))


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Who runs in a folder."""

    supervisor: Identity
    ready: bool = False
    url: str = ""
    token: str = ""
    audit: bool = False
    binaries: dict[str, str] = field(default_factory=dict)
    servers: dict[str, Identity] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the state as a document."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> State:
        """Return what `to_json` wrote."""
        values: dict[str, Any] = json.loads(text)
        values["supervisor"] = Identity(**values["supervisor"])
        values["servers"] = {name: Identity(**one) for name, one in values["servers"].items()}
        return cls(**values)

    def write(self, path: Path) -> None:
        """Write the state so that no reader ever sees half of it."""
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_text(self.to_json())
        fresh.replace(path)


def read_state(path: Path) -> State | None:
    """Return the state in a file, None when there is none or it is not one of ours."""
    try:
        return State.from_json(path.read_text())
    except (OSError, ValueError, KeyError, TypeError):
        return None
