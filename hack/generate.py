"""Generated files: `python -m hack.generate proto|lock|wheel`.

The CRD has its own generator (coordinator/api/crd.py), and so have the reference pages
(hack/reference.py).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PROTO = "lmcache_nodehealth/v1/nodehealth.proto"
EXTRAS = ("coordinator", "agent", "dev")


def proto(out: Path) -> int:
    """Write the protobuf code for Python, with types, below `out`; returns the exit code."""
    tools = Path(sys.executable).parent
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            "-Iproto",
            f"--plugin=protoc-gen-mypy={tools / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={tools / 'protoc-gen-mypy_grpc'}",
            f"--python_out={out}",
            f"--grpc_python_out={out}",
            f"--mypy_out=quiet:{out}",
            f"--mypy_grpc_out=quiet:{out}",
            f"proto/{PROTO}",
        ],
        cwd=REPOSITORY,
        check=False,
    ).returncode


def lock() -> int:
    """Resolve the dependencies of each role into requirements/, with hashes."""
    for extra in EXTRAS:
        code = subprocess.run(
            [
                sys.executable,
                "-m",
                "uv",
                "pip",
                "compile",
                "--quiet",
                "--universal",
                "--python-version=3.11",
                "--generate-hashes",
                "--no-emit-index-url",
                "--no-emit-find-links",
                "--no-header",
                "pyproject.toml",
                f"--extra={extra}",
                f"--output-file=requirements/{extra}.txt",
            ],
            cwd=REPOSITORY,
            check=False,
        ).returncode
        if code:
            return code
    return 0


def wheel() -> int:
    """Build the wheel into dist/."""
    return subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--wheel-dir=dist", "."],
        cwd=REPOSITORY,
        check=False,
    ).returncode  # fmt: skip


def main() -> int:
    """Run what is asked for."""
    match sys.argv[1:]:
        case ["proto"]:
            return proto(REPOSITORY / "proto")
        case ["lock"]:
            return lock()
        case ["wheel"]:
            return wheel()
    sys.stderr.write("usage: python -m hack.generate proto|lock|wheel\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
