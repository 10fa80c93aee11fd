"""Finds the programs of the control plane, and builds the ones that are nowhere.

Looked for in this order: the folder named by KUBEBUILDER_ASSETS, our own `bin/` folder, PATH. A
program from outside is taken only when its minor version is the wanted one, for programs of
different minor versions do not make one control plane.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hack.controlplane import programs, toolchain
from hack.controlplane.errors import BuildFailed
from hack.controlplane.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HERE = Path(__file__).resolve().parent
STAGES_FOLDER = "kwok-stages"
# A version question is answered in well under a second, but not on a machine busy with a build.
VERSION_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where programs may be, and where ours are built."""

    sources: Path = HERE
    own: Path = HERE / "bin"
    assets: Path | None = None
    search_path: str = ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Places:
        """Return the places that the environment names."""
        assets = environ.get("KUBEBUILDER_ASSETS", "")
        return cls(
            assets=Path(assets).absolute() if assets else None,
            search_path=environ.get("PATH", os.defpath),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """The programs of one control plane, all of them there."""

    paths: Mapping[str, Path]
    kwok_stages: tuple[Path, ...] = ()

    def __getitem__(self, program: programs.Program) -> Path:
        return self.paths[program.name]


def provide(
    wanted: Sequence[programs.Program] = programs.ALL,
    *,
    places: Places | None = None,
    progress: Progress | None = None,
) -> Binaries:
    """Return the wanted programs, after building those that were not found.

    Raises BuildFailed when one is missing and cannot be built.
    """
    places = places or Places.from_environment()
    progress = progress or Progress()
    paths: dict[str, Path] = {}
    missing: list[programs.Program] = []
    for program in wanted:
        found = find(program, places=places, progress=progress)
        if found is None:
            missing.append(program)
        else:
            paths[program.name] = found
    if missing:
        paths |= _build_all(missing, places=places, progress=progress)
    stages: tuple[Path, ...] = ()
    if programs.KWOK in wanted:
        stages = _kwok_stages(beside=paths[programs.KWOK.name].parent, places=places)
    return Binaries(paths=paths, kwok_stages=stages)


def missing(
    wanted: Sequence[programs.Program] = programs.ALL, *, places: Places | None = None
) -> tuple[str, ...]:
    """Return the names of the programs that would have to be built first."""
    places = places or Places.from_environment()
    return tuple(program.name for program in wanted if find(program, places=places) is None)


def find(
    program: programs.Program, *, places: Places, progress: Progress | None = None
) -> Path | None:
    """Return the program if it is somewhere in a version that fits."""
    progress = progress or Progress()
    sources = places.sources / program.sources
    wanted = programs.wanted_version((sources / "go.mod").read_text(), program.module)
    if places.assets is not None:
        asset = places.assets / program.name
        if os.access(asset, os.X_OK):
            said = _version_of(asset, program)
            if programs.fits(said, wanted):
                return asset
            # Named by a person, so passing it over in silence would puzzle them.
            progress.line(
                f"passing over {asset}: it says {said or 'nothing'!r}, and {wanted} is wanted"
            )
    own = places.own / program.name
    if _is_fresh(own, stamp=_stamp(program, sources)):
        return own
    # Our own folder may be on PATH too, but what is stale there is not what is wanted.
    elsewhere = (one for one in places.search_path.split(os.pathsep) if Path(one) != places.own)
    on_path = shutil.which(program.name, path=os.pathsep.join(elsewhere))
    if on_path and programs.fits(_version_of(Path(on_path), program), wanted):
        return Path(on_path).absolute()
    return None


def _version_of(path: Path, program: programs.Program) -> str:
    """Return the line with the version that a program tells, "" if it tells none."""
    try:
        answer = subprocess.run(
            [path, *program.version_arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=VERSION_TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = f"{answer.stdout}\n{answer.stderr}".splitlines()
    return next((line.strip() for line in lines if programs.version_in(line)), "")


def _stamp(program: programs.Program, sources: Path) -> str:
    return programs.stamp(
        program,
        go_mod=(sources / "go.mod").read_bytes(),
        go_sum=(sources / "go.sum").read_bytes(),
    )


def _is_fresh(own: Path, *, stamp: str) -> bool:
    try:
        return own.is_file() and _stamp_file(own).read_text() == stamp
    except OSError:
        return False


def _stamp_file(own: Path) -> Path:
    return own.with_name(f".{own.name}.stamp")


def _build_all(
    missing: Sequence[programs.Program], *, places: Places, progress: Progress
) -> dict[str, Path]:
    """Build programs one after the other (each build uses every core by itself)."""
    for sources in {places.sources / program.sources for program in missing}:
        names = ", ".join(program.name for program in missing)
        toolchain.check_go(sources, purpose=f"build {names}")
    places.own.mkdir(parents=True, exist_ok=True)
    built: dict[str, Path] = {}
    with _lock(places.own / ".lock", progress=progress):
        for number, program in enumerate(missing, start=1):
            own = places.own / program.name
            # Whoever held the lock before us may have built it in the meantime.
            if find(program, places=places) != own:
                _build(program, places=places, progress=progress, of=(number, len(missing)))
            built[program.name] = own
    return built


def _build(
    program: programs.Program, *, places: Places, progress: Progress, of: tuple[int, int]
) -> None:
    title = f"building {program.name} ({of[0]}/{of[1]}) …"
    progress.begin(title)
    sources = places.sources / program.sources
    stamp = _stamp(program, sources)
    own = places.own / program.name
    with tempfile.TemporaryDirectory(prefix=f".{program.name}.", dir=places.own) as scratch:
        output = Path(scratch) / program.name
        seconds = toolchain.build(
            program,
            sources=sources,
            output=output,
            log=places.own / f".{program.name}.log",
            on_tick=lambda spent: progress.tick(f"{title} {spent:.0f} s"),
        )
        # The old stamp goes first: a crash between the two renames then means "build again".
        _stamp_file(own).unlink(missing_ok=True)
        output.replace(own)
        fresh = Path(scratch) / "stamp"
        fresh.write_text(stamp)
        fresh.replace(_stamp_file(own))
    progress.line(f"{title} {seconds:.0f} s")


@contextlib.contextmanager
def _lock(path: Path, *, progress: Progress) -> Iterator[None]:
    """Hold a file lock, so that two builders do not build the same thing twice at once."""
    with path.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.line("waiting for another build to end …")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _kwok_stages(*, beside: Path, places: Places) -> tuple[Path, ...]:
    """Return the stage files for kwok, copied from its module at the first call."""
    sources = places.sources / programs.KWOK.sources
    version = programs.wanted_version((sources / "go.mod").read_text(), programs.KWOK.module)
    names = [Path(stage).name for stage in programs.KWOK_STAGES]
    # One folder per version: an update of go.mod never plays the stages of an older kwok.
    own = places.own / STAGES_FOLDER / version
    for folder in (beside / STAGES_FOLDER, own):
        if all((folder / name).is_file() for name in names):
            return tuple(folder / name for name in names)
    try:
        module = toolchain.module_folder(
            programs.KWOK.module, sources=sources, purpose="fetch kwok's default stages"
        )
    except BuildFailed as error:
        raise BuildFailed(
            f"kwok is there, but not the stages it plays ({', '.join(names)}). {error} "
            f"They may also lie in a folder {STAGES_FOLDER!r} beside kwok."
        ) from error
    own.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".stages.", dir=own.parent) as scratch:
        filled = Path(scratch) / version
        filled.mkdir()
        for stage in programs.KWOK_STAGES:
            # Contents only: files in the module cache are read-only, ours must be removable.
            text = (module / "kustomize" / "stage" / stage).read_bytes()
            (filled / Path(stage).name).write_bytes(text)
        # Another process may have been first; its copy is as good as ours.
        with contextlib.suppress(OSError):
            filled.rename(own)
    return tuple(own / name for name in names)
