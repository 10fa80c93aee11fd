"""The command line: `python -m hack.controlplane build|up|down|env|nodes`."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hack.controlplane import binaries, programs
from hack.controlplane.cluster import (
    REPOSITORY,
    ControlPlane,
    ControlPlaneOptions,
    bring_down,
)
from hack.controlplane.errors import ControlPlaneError, NotRunning
from hack.controlplane.nodes import FakeNodes
from hack.controlplane.progress import console

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_FOLDER = REPOSITORY / ".demo" / "controlplane"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a failure is a sentence on standard error and exit status 1."""
    chosen = _parser().parse_args(arguments)
    commands = {"build": _build, "up": _up, "down": _down, "env": _env, "nodes": _nodes}
    try:
        commands[chosen.command](chosen)
    except ControlPlaneError as error:
        # Not print: a tick may stand where the sentence belongs.
        console().line(str(error))
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hack.controlplane", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    build = commands.add_parser("build", help="find or build the programs, and say where they are")
    build.add_argument(
        "only",
        nargs="*",
        metavar="program",
        help=f"of: {', '.join(program.name for program in programs.ALL)} (all)",
    )

    up = commands.add_parser("up", help="start a control plane and leave it running")
    up.add_argument("--no-kwok", action="store_true", help="without anybody to play fake nodes")
    up.add_argument("--audit", action="store_true", help="log every request to audit.log")
    up.add_argument("--foreground", action="store_true", help="stay, and stop everything at Ctrl-C")
    _add_node_arguments(up, count_option="--nodes", default_count=0)

    down = commands.add_parser("down", help="end what `up` started")
    down.add_argument("--keep", action="store_true", help="leave the logs and the data")

    env = commands.add_parser("env", help='print shell settings, for eval "$(…)"')
    nodes = commands.add_parser("nodes", help="add fake GPU nodes")
    _add_node_arguments(nodes, count_option="--count", default_count=FakeNodes().count)

    for command in (up, down, env, nodes):
        command.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="(%(default)s)")
    return parser


def _add_node_arguments(
    parser: argparse.ArgumentParser, *, count_option: str, default_count: int
) -> None:
    usual = FakeNodes()
    parser.add_argument(
        count_option,
        dest="count",
        type=int,
        default=default_count,
        metavar="N",
        help="how many fake GPU nodes (%(default)s)",
    )
    parser.add_argument("--prefix", default=usual.prefix, help="of their names (%(default)s)")
    parser.add_argument("--gpus", type=int, default=usual.gpus, help="of each (%(default)s)")
    parser.add_argument("--memory", default=usual.memory, help="of each (%(default)s)")


def _build(chosen: argparse.Namespace) -> None:
    known = {program.name: program for program in programs.ALL}
    unknown = [name for name in chosen.only if name not in known]
    if unknown:
        raise ControlPlaneError(f"{', '.join(unknown)}: not a program of the control plane.")
    wanted = [known[name] for name in chosen.only] or list(programs.ALL)
    found = binaries.provide(wanted, progress=console())
    for program in wanted:
        print(f"{program.name} {found[program]}")


def _up(chosen: argparse.Namespace) -> None:
    try:
        running = ControlPlane.attach(chosen.folder)
    except NotRunning:
        pass
    else:
        print(f"A control plane already runs in {running.folder}.", file=sys.stderr)
        return
    progress = console()
    if chosen.foreground:
        # A shell starts its background jobs with Ctrl-C ignored; whoever sends it means it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    wanted = programs.CORE if chosen.no_kwok else programs.ALL
    binaries.provide(wanted, progress=progress)
    begun = time.monotonic()
    progress.tick("starting the control plane …")
    cluster = ControlPlane.start(
        ControlPlaneOptions(
            folder=chosen.folder,
            kwok=not chosen.no_kwok,
            audit=chosen.audit,
            detached=not chosen.foreground,
        ),
        report=progress.line,
    )
    # From here on Ctrl-C must find its way to the end of this block.
    try:
        progress.line(
            f"control plane ready after {time.monotonic() - begun:.1f} s: "
            f"export KUBECONFIG={shlex.quote(str(cluster.kubeconfig))}"
        )
        if chosen.count:
            _add_nodes(cluster, chosen)
        while chosen.foreground:
            # Not signal.pause(): a Ctrl-C just before it would be slept through.
            time.sleep(0.5)
    finally:
        if chosen.foreground:
            progress.line("stopping …")
            cluster.stop(remove=True)


def _down(chosen: argparse.Namespace) -> None:
    ended = bring_down(chosen.folder, remove=not chosen.keep)
    what = "stopped" if ended else "nothing ran"
    print(f"{what} in {chosen.folder}", file=sys.stderr)


def _env(chosen: argparse.Namespace) -> None:
    cluster = ControlPlane.attach(chosen.folder)
    print(f"export KUBECONFIG={shlex.quote(str(cluster.kubeconfig))}")
    print(f"export PATH={shlex.quote(str(cluster.kubectl_path.parent))}:$PATH")


def _nodes(chosen: argparse.Namespace) -> None:
    _add_nodes(ControlPlane.attach(chosen.folder), chosen)


def _add_nodes(cluster: ControlPlane, chosen: argparse.Namespace) -> None:
    fake = FakeNodes(
        count=chosen.count, prefix=chosen.prefix, gpus=chosen.gpus, memory=chosen.memory
    )
    names = cluster.add_nodes(fake)
    print(f"{len(names)} nodes are Ready: {names[0]} … {names[-1]}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
