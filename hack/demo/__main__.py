"""The command line: `python -m hack.demo up|down`."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from hack.controlplane import ControlPlane, ControlPlaneError
from hack.demo.hosts import Hosts
from hack.demo.scene import scenes
from hack.demo.story import DemoFailed, bring_down, bring_up

FOLDER = Path(__file__).resolve().parents[2] / ".demo"


def main() -> int:
    """Run one command; errors are one sentence."""
    parser = argparse.ArgumentParser(prog="python -m hack.demo", description=__doc__)
    parser.add_argument("command", choices=("up", "down", "hosts"))
    parser.add_argument("--folder", type=Path, default=FOLDER, help="(%(default)s)")
    given = parser.parse_args()
    folder: Path = given.folder.absolute()
    try:
        if given.command == "up":
            bring_up(folder)
        elif given.command == "down":
            bring_down(folder)
        else:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            Hosts(folder / "nodes", scenes()).follow_for_ever(
                ControlPlane.attach(folder / "controlplane")
            )
    except (ControlPlaneError, DemoFailed) as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\ndemo: interrupted; `make demo-down` ends what was started.\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
