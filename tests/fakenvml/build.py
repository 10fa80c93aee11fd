"""Compile the fake NVIDIA driver library.

``build()`` leaves the library alone when its sources and flags have not changed, and otherwise
puts a new file in its place. It never writes into a library that a process may have mapped.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal, get_args

Variant = Literal["current", "old"]
"""``old`` is a driver of the 470 generation: its library lacks the newer functions."""

SONAME = "libnvidia-ml.so.1"

_SOURCES = Path(__file__).resolve().parent
_FLAGS = (
    *("-std=c11", "-O1", "-g1", "-fPIC", "-fvisibility=hidden", "-pthread"),
    *("-Wall", "-Wextra", "-Wshadow", "-Werror"),
    # The name under which pynvml asks for it: with it, a library loaded by its path beforehand
    # is the one that pynvml gets.
    *("-shared", f"-Wl,-soname,{SONAME}"),
)


class CompilerMissing(RuntimeError):
    """There is no C compiler here. Installing one, or naming one in CC, helps."""


def build(out_dir: Path, *, variant: Variant = "current") -> Path:
    """Return the path of an up-to-date library in `out_dir`; make that its LD_LIBRARY_PATH.

    Safe for callers side by side. CC and CFLAGS are honoured. Raises CompilerMissing, or
    subprocess.CalledProcessError when the sources do not compile.
    """
    command = (*_compiler(), *_FLAGS, *shlex.split(os.environ.get("CFLAGS", "")))
    if variant == "old":
        command += ("-DFAKE_NVML_OLD",)
    fingerprint = _fingerprint(command)
    library = out_dir / SONAME
    if _has(library, fingerprint):
        return library

    out_dir.mkdir(parents=True, exist_ok=True)
    descriptor, fresh = tempfile.mkstemp(prefix=f".{SONAME}.", dir=out_dir)
    os.close(descriptor)
    try:
        subprocess.run(
            (
                *command,
                f'-DFAKE_NVML_FINGERPRINT="{fingerprint}"',
                *("-o", fresh),
                *sorted(str(source) for source in _SOURCES.glob("*.c")),
            ),
            check=True,
        )
        Path(fresh).chmod(0o755)
        Path(fresh).replace(library)
    finally:
        Path(fresh).unlink(missing_ok=True)
    return library


def _compiler() -> tuple[str, ...]:
    chosen = os.environ.get("CC")
    if chosen:
        return tuple(shlex.split(chosen))
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return (name,)
    raise CompilerMissing(
        "building the fake NVML library needs a C compiler: install gcc or clang, or name one in CC"
    )


def _fingerprint(command: tuple[str, ...]) -> str:
    digest = hashlib.sha256("\0".join(command).encode())
    for source in sorted((*_SOURCES.glob("*.c"), *_SOURCES.glob("*.h"))):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return f"fake-nvml:{digest.hexdigest()}"


def _has(library: Path, fingerprint: str) -> bool:
    """Whether the library was built from this; it carries the answer itself."""
    try:
        return fingerprint.encode() in library.read_bytes()
    except FileNotFoundError:
        return False


def main() -> int:
    """Build the library and print its path."""
    parser = argparse.ArgumentParser(prog="python -m tests.fakenvml.build", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="directory for the library")
    parser.add_argument("--variant", choices=get_args(Variant), default="current")
    arguments = parser.parse_args()
    try:
        library = build(arguments.out, variant=arguments.variant)
    except CompilerMissing as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError as error:
        return error.returncode
    sys.stdout.write(f"{library}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
