"""The Go toolchain: is it there and new enough, build one program, find a module's folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hack.controlplane import programs
from hack.controlplane.errors import BuildFailed, with_log_tail

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REMEDY = "or point KUBEBUILDER_ASSETS at a folder that holds the programs"


def go_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of `go`: the caller's, less what would build something else."""
    # A person's GOOS, or a go.work above the checkout, is meant for their own code.
    kept = {key: value for key, value in environ.items() if key not in {"GOOS", "GOARCH"}}
    return {**kept, "CGO_ENABLED": "0", "GOWORK": "off"}


def check_go(sources: Path, *, purpose: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the `go` program; raise BuildFailed with what to do when it is missing or too old."""
    needed = programs.wanted_go((sources / "go.mod").read_text())
    wanted = ".".join(str(part) for part in needed[:2])
    go = shutil.which("go", path=environ.get("PATH"))
    if go is None:
        raise BuildFailed(
            f"Go is needed to {purpose}, and there is no `go` on PATH: "
            f"install Go {wanted} or newer, {REMEDY}."
        )
    # Asked inside the module: there, a `go` that may fetch newer toolchains speaks for that one,
    # and one that may not (GOTOOLCHAIN=local) refuses and names its own version.
    answer = subprocess.run(
        [go, "env", "GOVERSION"],
        cwd=sources,
        env=go_environment(environ),
        capture_output=True,
        text=True,
        check=False,
    )
    said = f"{answer.stdout}{answer.stderr}".strip()
    version = programs.go_version_in(answer.stdout)
    if answer.returncode != 0 or version is None or version < needed[:2]:
        last = said.splitlines()[-1] if said else "it says nothing about its version"
        raise BuildFailed(
            f"Go {wanted} or newer is needed to {purpose}, and {go} is not that ({last}): "
            f"install a newer Go, {REMEDY}."
        )
    return Path(go)


def build(
    program: programs.Program,
    *,
    sources: Path,
    output: Path,
    log: Path,
    on_tick: Callable[[float], None],
    environ: Mapping[str, str] = os.environ,
) -> float:
    """Build a program into `output` and return how many seconds that took.

    `on_tick` is called about once a second with the time spent so far. Raises BuildFailed with the
    end of what `go` said.
    """
    go = check_go(sources, purpose=f"build {program.name}", environ=environ)
    version = programs.wanted_version((sources / "go.mod").read_text(), program.module)
    arguments = programs.build_arguments(program, version=version)
    begun = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [go, *arguments, "-o", output, program.package],
            cwd=sources,
            env=go_environment(environ),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            while True:
                try:
                    status = process.wait(timeout=1.0)
                    break
                except subprocess.TimeoutExpired:
                    on_tick(time.monotonic() - begun)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if status != 0:
        raise BuildFailed(
            with_log_tail(f"Building {program.name} failed (go ended with {status}).", log)
        )
    return time.monotonic() - begun


def module_folder(
    module: str, *, sources: Path, purpose: str, environ: Mapping[str, str] = os.environ
) -> Path:
    """Return the folder of a module's source, fetched into Go's module cache when it is not yet."""
    go = check_go(sources, purpose=purpose, environ=environ)
    settings = go_environment(environ)
    for arguments in (("mod", "download", module), ("list", "-m", "-f", "{{.Dir}}", module)):
        answer = subprocess.run(
            [go, *arguments], cwd=sources, env=settings, capture_output=True, text=True, check=False
        )
        if answer.returncode != 0:
            last = (answer.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise BuildFailed(f"Go could not {purpose}: {last}")
    return Path(answer.stdout.strip())
